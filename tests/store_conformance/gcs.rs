//! Google Cloud Storage, against a server of the test process that keeps generations strictly.

use chartfs::error::Kind;
use chartfs::store::{Bucket, Condition, Location, StoreOptions};

use crate::fake_gcs::{FakeGcs, unknown_account};
use crate::suite::{conforms, name, put};
use crate::vars;

fn location(prefix: &str) -> Location {
    format!("gs://bucket/{prefix}").parse().unwrap()
}

/// Opens the bucket as the service account of which `account` is the file.
async fn open(fake: &FakeGcs, account: &str, at: &Location) -> Bucket {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("account.json");
    std::fs::write(&file, account).unwrap();
    let (url, file) = (fake.url(), file.to_str().unwrap().to_owned());
    let all = [("GOOGLE_BASE_URL", url.as_str()), ("GOOGLE_APPLICATION_CREDENTIALS", &file)];
    Bucket::open(at, &StoreOptions::from_vars(vars(&all))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gcs_conforms() {
    let fake = FakeGcs::start().await;
    for prefix in ["", "deep/er"] {
        conforms(&open(&fake, &fake.service_account(), &location(prefix)).await).await;
        let other = open(&fake, &fake.service_account(), &location("other")).await;
        put(&other, "a", "x", Condition::Absent).await.unwrap();
        other.delete(&name("a")).await.unwrap();
    }
}

#[tokio::test]
async fn an_endpoint_of_chartfs_is_googles_too() {
    let fake = FakeGcs::start().await;
    let account = fake.service_account();
    let all = [("GOOGLE_SERVICE_ACCOUNT_KEY", account.as_str())];
    let mut options = StoreOptions::from_vars(vars(&all));
    options.endpoint = Some(fake.url());
    Bucket::open(&location("p"), &options).await.unwrap().probe().await.unwrap();
}

#[tokio::test]
async fn gcs_denials_say_what_to_do() {
    let fake = FakeGcs::start().await;
    let e = open(&fake, &unknown_account(), &location("p")).await.probe().await.unwrap_err();
    assert_eq!(e.kind(), Kind::Denied, "{e}");
    assert!(e.try_this().unwrap().contains("GOOGLE_APPLICATION_CREDENTIALS"), "{e:?}");
    let other = "gs://no-such-bucket/x".parse().unwrap();
    let b = open(&fake, &fake.service_account(), &other).await;
    let e = b.get(&name("a"), 1).await.unwrap_err();
    assert_eq!(e.kind(), Kind::NotFound, "{e}");
    assert!(e.what().contains("gs://no-such-bucket"), "{e}");
}

#[tokio::test]
async fn a_service_account_that_is_no_file_is_told() {
    let all = [("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/account.json")];
    let options = StoreOptions::from_vars(vars(&all));
    let e = Bucket::open(&location("p"), &options).await.unwrap_err();
    assert_eq!(e.kind(), Kind::Usage, "{e}");
    assert!(e.try_this().unwrap().contains("GOOGLE_"), "{e:?}");
}
