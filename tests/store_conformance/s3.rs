//! S3 itself, against the server that `CHARTFS_TEST_S3` names (`tests/servers/seaweedfs` starts
//! one).

use chartfs::error::Kind;
use chartfs::store::{Bucket, Location, StoreOptions};

use crate::suite::{conforms, name};
use crate::{skipped, stamp, vars};

/// The S3 server that the environment names: location below a fresh prefix, and options.
#[expect(clippy::disallowed_methods, reason = "the server of the test is named by the environment")]
pub(crate) fn s3(test: &str) -> Option<(Location, StoreOptions)> {
    let Ok(endpoint) = std::env::var("CHARTFS_TEST_S3") else {
        skipped(test, "CHARTFS_TEST_S3 is not set (start tests/servers/seaweedfs)");
        return None;
    };
    let bucket = std::env::var("CHARTFS_TEST_S3_BUCKET").unwrap_or("chartfs-test".to_owned());
    let mut options = StoreOptions::from_vars(std::env::vars());
    options.endpoint = Some(endpoint);
    Some((format!("s3://{bucket}/{test}/{}", stamp()).parse().unwrap(), options))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_conforms() {
    let Some((location, options)) = s3("s3_conforms") else { return };
    conforms(&Bucket::open(&location, &options).await.unwrap()).await;
}

#[tokio::test]
async fn s3_denials_say_what_to_do() {
    let Some((location, options)) = s3("s3_denials") else { return };
    let with = |key: &str, secret: &str| {
        let all = [("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret)];
        let mut o = StoreOptions::from_vars(vars(&all));
        o.endpoint.clone_from(&options.endpoint);
        o
    };
    for (key, secret) in
        [("NOBODY", "x"), ("CHARTFSTESTKEY000001", "wrong-secret-of-the-right-key")]
    {
        let b = Bucket::open(&location, &with(key, secret)).await.unwrap();
        let e = b.probe().await.unwrap_err();
        assert_eq!(e.kind(), Kind::Denied, "{e}");
        assert!(e.try_this().unwrap().contains("AWS_ACCESS_KEY_ID"), "{e}");
        assert!(!format!("{e:?}").contains(secret) || secret == "x", "{e:?}");
    }
    let other: Location = "s3://no-such-bucket-of-chartfs/x".parse().unwrap();
    let e = Bucket::open(&other, &options).await.unwrap().get(&name("a"), 1).await.unwrap_err();
    assert_eq!(e.kind(), Kind::NotFound, "{e}");
    assert!(e.what().contains("no-such-bucket-of-chartfs"), "{e}");
}
