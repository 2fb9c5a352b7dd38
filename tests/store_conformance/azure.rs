//! Azure Blob Storage, against the server that `CHARTFS_TEST_AZURE` names
//! (`tests/servers/azurite` starts one).

use chartfs::error::Kind;
use chartfs::store::{Bucket, Location, StoreOptions};

use crate::suite::{conforms, name};
use crate::{base64, skipped, stamp, vars};

struct Server {
    endpoint: String,
    container: String,
    account: String,
    key: String,
}

/// The server that the environment names.
#[expect(clippy::disallowed_methods, reason = "the server of the test is named by the environment")]
fn server(test: &str) -> Option<Server> {
    let var = |name: &str| std::env::var(format!("CHARTFS_TEST_AZURE{name}"));
    let Ok(endpoint) = var("") else {
        skipped(test, "CHARTFS_TEST_AZURE is not set (start tests/servers/azurite)");
        return None;
    };
    let rest = ["_CONTAINER", "_ACCOUNT", "_KEY"].map(|name| var(name).unwrap());
    let [container, account, key] = rest;
    Some(Server { endpoint, container, account, key })
}

impl Server {
    fn location(&self, test: &str) -> Location {
        format!("az://{}/{test}/{}", self.container, stamp()).parse().unwrap()
    }

    fn options(&self) -> StoreOptions {
        StoreOptions::from_vars(vars(&[
            ("AZURE_STORAGE_ENDPOINT", &self.endpoint),
            ("AZURE_STORAGE_ACCOUNT", &self.account),
            ("AZURE_STORAGE_KEY", &self.key),
        ]))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azure_conforms() {
    let Some(server) = server("azure_conforms") else { return };
    let at = server.location("conforms");
    conforms(&Bucket::open(&at, &server.options()).await.unwrap()).await;
}

#[tokio::test]
async fn an_endpoint_of_chartfs_is_azures_too() {
    let Some(server) = server("an_endpoint_of_chartfs_is_azures_too") else { return };
    let mut options = StoreOptions::from_vars(vars(&[
        ("AZURE_STORAGE_ACCOUNT_NAME", &server.account),
        ("AZURE_STORAGE_ACCOUNT_KEY", &server.key),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
    ]));
    options.endpoint = Some(server.endpoint.clone());
    let at = server.location("endpoint");
    Bucket::open(&at, &options).await.unwrap().probe().await.unwrap();
}

#[tokio::test]
async fn azure_denials_say_what_to_do() {
    let Some(server) = server("azure_denials") else { return };
    let wrong = base64::encode(b"a key that is not the key of this account");
    let stranger = Server { key: wrong.clone(), ..server };
    let at = stranger.location("denials");
    let e = Bucket::open(&at, &stranger.options()).await.unwrap().probe().await.unwrap_err();
    assert_eq!(e.kind(), Kind::Denied, "{e}");
    assert!(e.try_this().unwrap().contains("AZURE_STORAGE"), "{e:?}");
    assert!(!format!("{e:?}").contains(&wrong), "{e:?}");
}

#[tokio::test]
async fn an_azure_container_that_is_not_there_is_told() {
    let Some(server) = server("an_azure_container_that_is_not_there_is_told") else { return };
    let at: Location = "az://no-such-container/x".parse().unwrap();
    let b = Bucket::open(&at, &server.options()).await.unwrap();
    let e = b.get(&name("a"), 1).await.unwrap_err();
    assert_eq!(e.kind(), Kind::NotFound, "{e}");
    assert!(e.what().contains("az://no-such-container"), "{e}");
}
