//! Who is whom: a wrong patient is worse than none.

use crate::site::{POLICY, Site, bundle, counts, message};

#[tokio::test]
async fn the_same_number_with_another_birth_date_is_refused_and_with_another_name_taken() {
    let site = Site::new().await;
    site.take("doctor", "a", message("M1", "4711", "Lorimarsh", "19700203")).await;
    let other = message("M2", "4711", "Lorimarsh", "19700204");
    assert_eq!(counts(site.take("doctor", "b", other).await), [0, 0, 0, 1]);
    let married = message("M3", "4711", "Dunmarrow", "19700203");
    assert_eq!(counts(site.take("doctor", "c", married).await), [1, 0, 0, 0]);
    let unborn = message("M4", "4711", "Somebody", "");
    assert_eq!(counts(site.take("doctor", "d", unborn).await), [0, 0, 0, 1]);
}

#[tokio::test]
async fn numbers_of_two_patients_are_in_doubt() {
    let site = Site::new().await;
    site.take("doctor", "a", message("M1", "1", "Lorimarsh", "19700203")).await;
    site.take("doctor", "b", message("M2", "2", "Lorimarsh", "19700203")).await;
    let both = message("M3", "1^^^HOSP^MR~2", "Lorimarsh", "19700203");
    assert_eq!(counts(site.take("doctor", "c", both).await), [0, 0, 0, 1]);
    let reason = &site.all().await["/inbox/.failed/c.reason.txt"];
    assert_eq!(reason, "its identifiers are known of more than one patient\n");
}

#[tokio::test]
async fn a_shared_social_security_number_makes_two_people_one_only_if_more_agrees() {
    let site = Site::new().await;
    let with = |control: &str, number: &str, born: &str| {
        let number = format!("{number}^^^HOSP^MR~000-00-0000^^^USA^SS");
        message(control, &number, "Lorimarsh", born)
    };
    site.take("doctor", "a", with("M1", "1", "19700203")).await;
    assert_eq!(counts(site.take("doctor", "b", with("M2", "2", "19800203")).await), [1, 0, 0, 0]);
    let alone = message("M3", "000-00-0000^^^USA^SS~", "Lorimarsh", "19990101");
    assert_eq!(counts(site.take("doctor", "c", alone).await), [0, 0, 0, 1]);
    let agrees = message("M4", "000-00-0000^^^USA^SS~", "Lorimarsh", "19700203");
    assert_eq!(counts(site.take("doctor", "d", agrees).await), [1, 0, 0, 0]);
    let paths = site.paths().await;
    let of = |folder: &str| paths.iter().filter(|p| p.starts_with(folder)).count();
    assert_eq!((of("/patients/p-1/"), of("/patients/p-2/")), (2, 1), "{paths:?}");
}

#[tokio::test]
async fn a_number_that_nobody_is_said_to_give_makes_no_folder_unless_the_policy_says_who_does() {
    let text = message("M1", "4711", "Lorimarsh", "19700203").replace("^^^HOSP^MR", "");
    let site = Site::new().await;
    assert_eq!(counts(site.take("doctor", "a", &text).await), [0, 0, 0, 1]);
    let policy = POLICY.replace("HOSP =", "\"\" = \"1.2.3.4\"\nHOSP =");
    let site = Site::with(&policy).await;
    assert_eq!(counts(site.take("doctor", "a", &text).await), [1, 0, 0, 0]);
    // The other name of the same giver means the same number.
    site.take("doctor", "b", message("M2", "4711", "Lorimarsh", "19700203")).await;
    site.take("doctor", "c", bundle("b", "4711", "1970-02-03", "I10")).await;
    let paths = site.paths().await;
    assert!(
        paths.len() == 3 && paths.iter().all(|p| p.starts_with("/patients/p-4711/")),
        "{paths:?}"
    );
}

#[tokio::test]
async fn without_a_template_only_known_patients_are_filed_and_those_who_are_there_can_be_learnt() {
    let site = Site::with(&POLICY.replace("new = \"p-{id}\"\n", "")).await;
    let text = message("M1", "4711", "Lorimarsh", "19700203");
    assert_eq!(counts(site.take("doctor", "a", &text).await), [0, 0, 0, 1]);
    let view = site.view("doctor").await;
    for (folder, record) in
        [("blue", bundle("b", "4711", "1970-02-03", "I10")), ("red", "?".to_owned())]
    {
        let folder = view.make_path(&format!("/patients/{folder}")).await.unwrap();
        view.write_path(folder, b"record.json", record.as_bytes()).await.unwrap();
    }
    for _ in 0..2 {
        let intake = view.inbox_at("inbox").await.unwrap().unwrap();
        let learnt = view.learn_patients(&intake, |_| {}).await.unwrap();
        assert_eq!((learnt.known, learnt.unknown, learnt.doubtful), (1, 1, 0));
    }
    assert_eq!(counts(site.take("doctor", "a", &text).await), [1, 0, 0, 0]);
    assert!(site.paths().await.iter().any(|p| p.starts_with("/patients/blue/ADT-A08-M1-")));
}

#[tokio::test]
async fn a_folder_of_the_number_that_is_there_already_must_be_the_patients() {
    let site = Site::new().await;
    let view = site.view("doctor").await;
    let files = [
        ("p-1", bundle("b", "1", "1970-02-03", "I10")),
        ("p-2", bundle("b", "9", "1970-02-03", "I10")),
        ("p-3", "nobody knows".to_owned()),
    ];
    for (folder, text) in files {
        let folder = view.make_path(&format!("/patients/{folder}")).await.unwrap();
        view.write_path(folder, b"record", text.as_bytes()).await.unwrap();
    }
    view.make_path("/patients/p-4").await.unwrap();
    for (number, expected) in [("1", 1), ("2", 0), ("3", 0), ("4", 1)] {
        let text = message(&format!("M{number}"), number, "Lorimarsh", "19700203");
        let taken = site.take("doctor", number, text).await;
        assert_eq!(counts(taken), [expected, 0, 0, 1 - expected], "{number}");
    }
}

#[tokio::test]
async fn names_of_the_index_say_no_number_and_two_at_once_enter_one_patient() {
    let site = Site::with(&POLICY.replace("p-{id}", "{random}")).await;
    let views = [site.view("doctor").await, site.view("doctor").await];
    let texts: Vec<String> =
        (0..8).map(|i| message(&format!("M{i}"), "4711", "Lorimarsh", "19700203")).collect();
    let taken = texts
        .iter()
        .enumerate()
        .map(|(i, text)| crate::site::take(&views[i % 2], "x", text.as_bytes()));
    for taken in futures::future::join_all(taken).await {
        assert_eq!(counts(taken), [1, 0, 0, 0]);
    }
    let view = site.view("doctor").await;
    assert_eq!(view.list_path("/patients").await.unwrap().len(), 1, "one folder");
    let names = view.list_path("/inbox/.patients").await.unwrap();
    let names: Vec<String> =
        names.into_iter().map(|e| String::from_utf8(e.name).unwrap()).collect();
    assert_eq!(names.len(), 2, "a key and a patient: {names:?}");
    assert!(names.iter().all(|n| !n.contains("4711")));
}
