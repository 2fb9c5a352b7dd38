//! Who files does it with the own rights, and sees no more by it.

use crate::site::{Site, bundle, counts, drop_in, inbox_policy, message};

/// An inbox whose policy lets the pharmacist read it and take files out.
async fn with_clerk() -> Site {
    let site = Site::new().await;
    let view = site.view("doctor").await;
    let folder = view.make_path("/inbox").await.unwrap();
    view.set_policy(folder, &inbox_policy()).await.unwrap();
    site
}

#[tokio::test]
async fn who_files_need_not_read_what_is_filed_and_files_nothing_twice() {
    let site = with_clerk().await;
    let record = bundle("b1", "4711", "1970-02-03", "I10");
    let newer = bundle("b1", "4711", "1970-02-03", "I11");
    assert_eq!(counts(site.take("pharmacist", "a", &record).await), [1, 0, 0, 0]);
    assert_eq!(counts(site.take("pharmacist", "a", &record).await), [0, 0, 1, 0]);
    // Who cannot read the first text does not replace it.
    assert_eq!(counts(site.take("pharmacist", "a", &newer).await), [1, 0, 0, 0]);
    assert_eq!(counts(site.take("pharmacist", "a", &newer).await), [0, 0, 1, 0]);
    let all = site.all().await;
    let mut texts: Vec<&String> = all.values().collect();
    texts.sort();
    assert_eq!(texts, [&record, &newer]);
    let clerk = site.view("pharmacist").await;
    for path in all.keys() {
        let mut seen = Vec::new();
        let read = clerk.read_path(path, |piece| {
            seen.extend_from_slice(&piece);
            Ok(())
        });
        assert!(read.await.is_err() || seen.is_empty(), "the clerk reads {path}");
    }
}

#[tokio::test]
async fn who_may_only_put_something_into_the_inbox_leaves_it_to_who_files() {
    let site = with_clerk().await;
    let sender = site.view("psychiatrist").await;
    drop_in(&sender, "a.hl7", &message("M1", "4711", "Lorimarsh", "19700203")).await;
    sender.drain().await.unwrap();
    let taken = sender.file_inboxes().await.unwrap();
    assert_eq!(counts(taken), [0, 0, 0, 0]);
    assert_eq!(site.paths().await, ["/inbox/a.hl7"]);
    let clerk = site.view("pharmacist").await;
    assert_eq!(counts(clerk.file_inboxes().await.unwrap()), [1, 0, 0, 0]);
    let paths = site.paths().await;
    assert!(paths.len() == 1 && paths[0].starts_with("/patients/p-4711/"), "{paths:?}");
}

#[tokio::test]
async fn a_patients_policy_that_lets_nothing_in_is_the_reason() {
    let site = with_clerk().await;
    let doctor = site.view("doctor").await;
    let folder = doctor.make_path("/patients/p-4711").await.unwrap();
    let closed = inbox_policy().replace(
        "add = \"physician@st-mary or pharmacist@board or",
        "add = \"physician@st-mary or",
    );
    doctor.set_policy(folder, &closed).await.unwrap();
    let text = message("M1", "4711", "Lorimarsh", "19700203");
    assert_eq!(counts(site.take("pharmacist", "a.hl7", &text).await), [0, 0, 0, 1]);
    let all = site.all().await;
    assert!(all["/inbox/.failed/a.hl7.reason.txt"].contains("may not add files"), "{all:?}");
    assert_eq!(counts(site.take("doctor", "a.hl7", &text).await), [1, 0, 0, 0]);
}

#[tokio::test]
async fn why_a_text_failed_is_told_to_who_reads_the_inbox_and_to_nobody_else() {
    let site = with_clerk().await;
    site.take("pharmacist", "a.txt", "nobody's").await;
    let of = async |user: &str| {
        let view = site.view(user).await;
        let mut all = Vec::new();
        let take = |piece: bytes::Bytes| {
            all.extend_from_slice(&piece);
            Ok(())
        };
        let read = view.read_path("/inbox/.failed/a.txt.reason.txt", take).await;
        (read.is_ok(), all.len())
    };
    assert!(of("pharmacist").await.1 > 0 && of("doctor").await.1 > 0);
    assert_eq!(of("psychiatrist").await.1, 0);
    assert!(!of("psychiatrist").await.0);
}

#[tokio::test]
async fn no_policy_but_the_roots_names_an_inbox() {
    let site = Site::new().await;
    let view = site.view("doctor").await;
    let folder = view.make_path("/elsewhere").await.unwrap();
    let text = crate::site::POLICY.replace("/inbox", "/elsewhere");
    assert!(view.set_policy(folder, &text).await.is_err());
    assert!(view.inbox_at("/elsewhere").await.unwrap().is_none());
    assert!(view.inbox_at("/inbox/").await.unwrap().is_some());
}
