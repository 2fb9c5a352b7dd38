//! Policies: checked before they are set, explained, and drawn as a matrix.

use crate::site::{POLICY, Site};

fn set(site: &Site) -> [String; 8] {
    let url = site.url("bucket");
    ["policy", "set", "/", "policy.toml", "--realm", &url, "--as-admin", "bucket.admin"]
        .map(str::to_owned)
}

#[test]
fn a_policy_that_cannot_work_is_refused_and_nothing_is_set() {
    let site = Site::founded();
    let url = site.url("bucket");
    let or = |n: usize| (0..n).map(|i| format!("a{i}@st-mary")).collect::<Vec<_>>().join(" or ");
    let and = |n: usize| (0..n).map(|i| format!("a{i}@st-mary")).collect::<Vec<_>>().join(" and ");
    let labs = "read = \"physician@st-mary or owner@{patient}\"";
    for (new, said) in [
        ("read = \"physician@southh\"".to_owned(), "southh"),
        ("read = \"nobody\"".to_owned(), "nobody can satisfy"),
        (format!("read = \"{}\"", or(65)), "64 clauses"),
        (format!("read = \"{}\"", and(33)), "32 attributes"),
        (format!("read = \"{}a@b{}\"", "(".repeat(33), ")".repeat(33)), "32"),
        (format!("read = \"{}\"", or(2000)), "16384 bytes"),
        ("read = \"physician st-mary\"".to_owned(), "physician st-mary\n             ^\n"),
        ("reads = \"physician@st-mary\"".to_owned(), "reads"),
    ] {
        let text = POLICY.replace(labs, &new);
        assert_ne!(text, POLICY);
        site.write("policy.toml", &text);
        let args = set(&site);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let error = site.fails(2, &args);
        assert!(error.contains(said), "{said}: {error}");
        let check = ["policy", "check", "policy.toml", "--realm", &url];
        let checked = site.command(&check).output().unwrap();
        assert_eq!(checked.status.code(), Some(2), "{said}");
    }
    site.fails(10, &["policy", "show", "/", "--realm", &url]);
    site.write("policy.toml", &POLICY.replace("section.labs", "section.lab"));
    let args = set(&site);
    let error = site.fails(2, &args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(error.contains("did you mean labs"), "{error}");
}

#[test]
fn a_check_tells_errors_from_warnings() {
    let site = Site::founded();
    site.user("lee", &["physician"]);
    let url = site.url("bucket");
    let check = |text: &str| -> (Option<i32>, serde_json::Value) {
        site.write("policy.toml", text);
        let args = ["policy", "check", "policy.toml", "--realm", &url, "--json"];
        let output = site.command(&args).output().unwrap();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
    };
    let (status, found) = check(POLICY);
    assert_eq!((status, &found["errors"]), (Some(0), &0.into()));
    let texts = found["findings"].to_string();
    assert!(texts.contains("pharmacist@board was issued to nobody yet"), "{texts}");
    assert!(!texts.contains("physician@st-mary was issued"), "{texts}");
    assert!(!texts.contains("alone"), "{texts}");
    let lone = format!(
        "{POLICY}\n[section.hiv]\nread = \"physician@st-mary\"\nwrite = \"physician@st-mary\"\n"
    );
    let (status, found) = check(&lone);
    assert_eq!(status, Some(0));
    assert!(found["findings"].to_string().contains("st-mary alone can open hiv"));
    let (status, found) = check(&POLICY.replace("staff@north", "staff@south"));
    assert_eq!(status, Some(2));
    assert!(found["errors"].as_u64().unwrap() > 0);
}

#[test]
fn explain_draws_the_formula_and_says_what_is_missing() {
    let site = Site::new();
    site.write("policy.toml", POLICY);
    let explain = |section: &str, who: &str| {
        site.ok(&["policy", "explain", section, "--as", who, "--policy", "policy.toml"])
    };
    assert_eq!(
        explain("billing", "physician@st-mary"),
        "read: closed, with staff@north it opens\n\
         \x20 ✗ any of\n\
         \x20   ✗ all of\n\
         \x20     ✓ physician@st-mary\n\
         \x20     ✗ staff@north\n\
         \x20   ✗ owner@{patient}\n\
         write: open\n\
         \x20 ✓ physician@st-mary\n"
    );
    assert!(explain("labs", "owner@{patient}").starts_with("read: open\n"));
    assert!(explain("manage", "nurse@st-mary").starts_with("manage: closed"));
    let said = site.fails(2, &["policy", "explain", "lab", "--policy", "policy.toml"]);
    assert!(said.contains("labs"), "{said}");
}

#[test]
fn the_matrix_shows_who_opens_what_without_any_key() {
    let site = Site::founded();
    site.write("policy.toml", POLICY);
    assert_eq!(
        site.ok(&["matrix", "--policy", "policy.toml"]),
        "            owner      staff  physician\n\
         \x20           @{patient} @north @st-mary\n\
         labs             ●        ○       ●\n\
         all others       ●        ◐       ◐\n\
         ● opens   ◐ with one more: all others/staff +physician@st-mary · \
         all others/physician +staff@north   ○ closed\n"
    );
    let args = set(&site);
    site.ok(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let roles = "team=physician@st-mary+staff@north,pharmacist=pharmacist@board";
    let url = site.url("bucket");
    let json = site.json(&["matrix", &url, "--roles", roles, "--json"]);
    let opens: Vec<bool> = json["sections"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|s| s["cells"].as_array().unwrap())
        .map(|c| c["opens"].as_bool().unwrap())
        .collect();
    assert_eq!(opens, [true, false, true, false]);
    let all = site.json(&["matrix", &url, "--all", "--json"]);
    assert_eq!(all["sections"].as_array().unwrap().len(), 34);
}
