//! The ways to S3's keys, and to the bucket by its host name and by TLS: against the doors that
//! `tests/servers/seaweedfs_doors` opens to a real server.

use std::process::Command;

use chartfs::error::{Error, Kind};
use chartfs::store::{Bucket, Location, StoreOptions};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::http::{Reply, error, read_request};
use crate::s3::s3;
use crate::suite::conforms;
use crate::{skipped, stamp, vars};

struct Doors {
    by_host: String,
    bucket: String,
    tls: String,
    ca: String,
    sts: String,
    role: String,
    token_file: String,
}

/// The doors that the environment names.
#[expect(clippy::disallowed_methods, reason = "the server of the test is named by the environment")]
fn doors(test: &str) -> Option<Doors> {
    let var = |name: &str| std::env::var(format!("CHARTFS_TEST_{name}"));
    let Ok(by_host) = var("S3_BY_HOST") else {
        skipped(test, "CHARTFS_TEST_S3_BY_HOST is not set (start tests/servers/seaweedfs_doors)");
        return None;
    };
    let rest = ["S3_HOST_BUCKET", "S3_TLS", "S3_CA", "STS", "STS_ROLE", "STS_TOKEN_FILE"];
    let [bucket, tls, ca, sts, role, token_file] = rest.map(|name| var(name).unwrap());
    Some(Doors { by_host, bucket, tls, ca, sts, role, token_file })
}

impl Doors {
    fn location(&self, test: &str) -> Location {
        format!("s3://{}/{test}/{}", self.bucket, stamp()).parse().unwrap()
    }

    /// What a process is given that gets its keys for a token of an identity provider.
    fn web_identity(&self, token_file: &str) -> StoreOptions {
        let mut options = StoreOptions::from_vars(vars(&[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token_file),
            ("AWS_ROLE_ARN", &self.role),
            ("AWS_ROLE_SESSION_NAME", "ward"),
            ("AWS_ENDPOINT_URL_STS", &self.sts),
            ("AWS_ENDPOINT_URL", &self.tls),
            ("AWS_CA_BUNDLE", &self.ca),
        ]));
        options.path_style = Some(false);
        options
    }

    async fn probed(&self, options: &StoreOptions) -> Result<(), Error> {
        Bucket::open(&self.location("probe"), options).await?.probe().await
    }

    /// Returns temporary keys as the metadata service of a machine hands them out.
    fn temporary_keys(&self) -> String {
        let token = std::fs::read_to_string(&self.token_file).unwrap();
        let query = format!(
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&DurationSeconds=3600\
             &RoleSessionName=machine&RoleArn={}&WebIdentityToken={token}",
            self.role
        );
        let url = format!("{}/?{query}", self.sts);
        let answer =
            Command::new("curl").args(["-s", "--cacert", &self.ca, "-X", "POST", &url]).output();
        let xml = String::from_utf8(answer.unwrap().stdout).unwrap();
        let part = |name: &str| {
            let from = xml.split_once(&format!("<{name}>")).expect(&xml).1;
            from.split_once("</").unwrap().0.to_owned()
        };
        serde_json::json!({
            "AccessKeyId": part("AccessKeyId"),
            "SecretAccessKey": part("SecretAccessKey"),
            "Token": part("SessionToken"),
            "Expiration": part("Expiration"),
        })
        .to_string()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_in_the_host_name_conforms() {
    let Some(doors) = doors("a_bucket_in_the_host_name_conforms") else { return };
    let Some((_, mut options)) = s3("by_host") else { return };
    options.endpoint = Some(doors.by_host.clone());
    options.path_style = Some(false);
    conforms(&Bucket::open(&doors.location("by_host"), &options).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_for_a_token_of_an_identity_provider_conform_over_tls() {
    let Some(doors) = doors("keys_for_a_token_conform") else { return };
    let options = doors.web_identity(&doors.token_file);
    conforms(&Bucket::open(&doors.location("web_identity"), &options).await.unwrap()).await;
}

#[tokio::test]
async fn a_token_that_is_refused_is_told() {
    let Some(doors) = doors("a_token_that_is_refused_is_told") else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let token = std::fs::read_to_string(&doors.token_file).unwrap();
    let unsigned = &token[..token.len() - 40];
    std::fs::write(&file, unsigned).unwrap();
    let e = doors.probed(&doors.web_identity(file.to_str().unwrap())).await.unwrap_err();
    assert_eq!(e.kind(), Kind::Denied, "{e}");
    assert!(e.what().contains("no credentials"), "{e}");
    assert!(!format!("{e:?}").contains(&unsigned[..40]), "{e:?}");

    let missing = dir.path().join("none");
    let e = doors.probed(&doors.web_identity(missing.to_str().unwrap())).await.unwrap_err();
    assert_eq!(e.kind(), Kind::Denied, "{e}");
    assert!(e.why().unwrap().contains(missing.to_str().unwrap()), "{e}");
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_not_trusted() {
    let Some(doors) = doors("a_server_of_an_unknown_authority") else { return };
    let Some((_, mut options)) = s3("unknown_authority") else { return };
    options.endpoint = Some(doors.tls.clone());
    options.path_style = Some(false);
    let e = doors.probed(&options).await.unwrap_err();
    assert_eq!(e.kind(), Kind::Unavailable, "{e}");
    assert!(e.what().contains("certificate"), "{e}");
    assert!(e.try_this().unwrap().contains("AWS_CA_BUNDLE"), "{e:?}");
    options.ca_bundle = Some(doors.ca.clone().into());
    doors.probed(&options).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "the server of the test is named by the environment")]
async fn a_profile_conforms() {
    let Some((location, server)) = s3("a_profile_conforms") else { return };
    let key = |name: &str| std::env::var(name).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (id, secret) = (key("AWS_ACCESS_KEY_ID"), key("AWS_SECRET_ACCESS_KEY"));
    let credentials = file(
        "credentials",
        format!(
            "[default]\naws_access_key_id = NOBODY\naws_secret_access_key = x\n\n\
             [ward]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"
        ),
    );
    let endpoint = server.endpoint.unwrap();
    let config =
        file("config", format!("[profile ward]\nregion = us-east-1\nendpoint_url = {endpoint}\n"));
    let files = [
        ("AWS_SHARED_CREDENTIALS_FILE", credentials.as_str()),
        ("AWS_CONFIG_FILE", &config),
        ("AWS_PROFILE", "ward"),
    ];
    let options = StoreOptions::from_vars(vars(&files));
    conforms(&Bucket::open(&location, &options).await.unwrap()).await;

    // Without its name the default one is taken, whose keys the server does not know.
    let mut default = StoreOptions::from_vars(vars(&files[..2]));
    default.endpoint = Some(endpoint);
    let e = Bucket::open(&location, &default).await.unwrap().probe().await.unwrap_err();
    assert_eq!(e.kind(), Kind::Denied, "{e}");
}

/// A profile may say where the token is, as AWS's own tools write it.
#[tokio::test]
async fn a_profile_may_name_a_token() {
    let Some(doors) = doors("a_profile_may_name_a_token") else { return };
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config");
    let text = format!(
        "[profile ward]\nrole_arn = {}\nweb_identity_token_file = {}\nrole_session_name = ward\n",
        doors.role, doors.token_file
    );
    std::fs::write(&config, text).unwrap();
    let mut options = doors.web_identity(&doors.token_file);
    let profile = StoreOptions::from_vars(vars(&[
        ("AWS_CONFIG_FILE", config.to_str().unwrap()),
        ("AWS_PROFILE", "ward"),
        ("AWS_ENDPOINT_URL_STS", &doors.sts),
    ]));
    options.endpoint = Some(doors.tls.clone());
    options.vars = profile.vars;
    options.profile = profile.profile;
    doors.probed(&options).await.unwrap();
}

/// The metadata service of a machine: a token first, then the role, then its keys. It is busy
/// whenever it is asked anew.
async fn metadata_service(keys: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut was_busy = false;
        while let Ok((mut stream, _)) = listener.accept().await {
            while let Some(request) = read_request(&mut stream).await {
                let has_token =
                    request.headers.get("x-aws-ec2-metadata-token").is_some_and(|t| t == "T");
                let role = "/latest/meta-data/iam/security-credentials/";
                let reply = match (request.method.as_str(), request.path.strip_prefix(role)) {
                    ("PUT", _) if !was_busy => error(503, "Busy"),
                    ("PUT", _) if request.path == "/latest/api/token" => {
                        Reply::new(200, Vec::new(), b"T".to_vec())
                    }
                    ("GET", Some("")) if has_token => Reply::new(200, Vec::new(), b"ward".to_vec()),
                    ("GET", Some("ward")) if has_token => {
                        Reply::new(200, Vec::new(), keys.clone().into_bytes())
                    }
                    _ => error(401, "Unauthorized"),
                };
                was_busy = reply.status == 503;
                stream.write_all(&reply.bytes()).await.unwrap();
            }
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_machine_with_a_role_needs_no_keys() {
    let Some(doors) = doors("a_machine_with_a_role_needs_no_keys") else { return };
    let machine = metadata_service(doors.temporary_keys()).await;
    let mut options = StoreOptions::from_vars(vars(&[
        ("AWS_METADATA_ENDPOINT", &machine),
        ("AWS_ENDPOINT_URL", &doors.by_host),
    ]));
    options.path_style = Some(false);
    doors.probed(&options).await.unwrap();
}
