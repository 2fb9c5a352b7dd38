//! How each cloud's client is built: endpoints, credentials, no retries of its own.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::list::PaginatedListStore;
use object_store::multipart::MultipartStore;
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};

use super::backend::Counters;
use super::fault::innermost;
use super::location::Place;
use super::options::StoreOptions;
use super::profile::{AccessKeys, Profile};
use super::remote::Remote;
use super::wire_tap::TapConnector;
use crate::error::{Error, Kind, Result};

/// The variables of AWS that `object_store` understands under the same name; a profile calls its
/// settings the same, in small letters and without `AWS_`.
const AWS_CHAIN: [&str; 10] = [
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_METADATA_ENDPOINT",
    "AWS_IMDSV1_FALLBACK",
    "AWS_SKIP_SIGNATURE",
];

/// Makes the client of an S3 bucket. Credentials, in this order: environment, profile, web
/// identity, container, instance metadata.
///
/// # Errors
/// [`Kind::Usage`] when the options contradict themselves.
pub(super) fn s3(place: &Place, options: &StoreOptions) -> Result<Remote> {
    let profile = Profile::load(options)?;
    let region = options.region.as_deref().or(profile.get("region")).unwrap_or("us-east-1");
    let endpoint = options
        .endpoint_of(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
        .or(profile.get("endpoint_url"));
    let counters = Arc::<Counters>::default();
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&place.bucket)
        .with_region(region)
        .with_retry(no_retries())
        .with_client_options(client_options(options, endpoint)?)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_disable_bulk_delete(true)
        .with_disable_tagging(true)
        .with_http_connector(tap(options, &counters));
    // A dot in the name of the bucket does not fit the certificate of a host name.
    let path_style = options.path_style.unwrap_or(endpoint.is_some() || place.bucket.contains('.'));
    builder = builder.with_virtual_hosted_style_request(!path_style);
    if let Some(endpoint) = endpoint {
        let endpoint = endpoint.trim_end_matches('/');
        let (scheme, host) = endpoint.split_once("://").ok_or_else(|| not_an_endpoint(endpoint))?;
        builder = builder.with_endpoint(if path_style {
            endpoint.to_owned()
        } else {
            format!("{scheme}://{}.{host}", place.bucket)
        });
    }
    builder = match s3_keys(options, &profile)? {
        Some(AccessKeys { id, secret, token }) => {
            let builder = builder.with_access_key_id(id).with_secret_access_key(secret);
            token.into_iter().fold(builder, AmazonS3Builder::with_token)
        }
        None => AWS_CHAIN.iter().try_fold(builder, |builder, name| {
            let key = name.to_ascii_lowercase();
            let said = || profile.get(key.strip_prefix("aws_")?);
            let Some(value) = options.var(name).or_else(said) else { return Ok(builder) };
            let key: AmazonS3ConfigKey = key.parse().map_err(not_built)?;
            Ok::<_, Error>(builder.with_config(key, value))
        })?,
    };
    let store = Arc::new(builder.build().map_err(not_built)?);
    Ok(remote(
        store.clone(),
        Some(store),
        place,
        options,
        counters,
        format!("s3://{}", place.bucket),
    ))
}

/// Returns the keys of the environment, else those of the profile: the order of AWS's own tools.
fn s3_keys(options: &StoreOptions, profile: &Profile) -> Result<Option<AccessKeys>> {
    match (options.var("AWS_ACCESS_KEY_ID"), options.var("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => {
            let token = options.var("AWS_SESSION_TOKEN").map(str::to_owned);
            Ok(Some(AccessKeys { id: id.to_owned(), secret: secret.to_owned(), token }))
        }
        (None, None) => profile.access_keys(),
        (Some(_), None) => Err(half("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
        (None, Some(_)) => Err(half("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")),
    }
}

fn half(set: &str, missing: &str) -> Error {
    Error::new(Kind::Usage, format!("{set} is set without {missing}"))
        .hint(format!("set {missing} too, or neither"))
}

/// Makes the client of an Azure container; account and credentials come from `AZURE_*`.
///
/// # Errors
/// [`Kind::Usage`] when the options contradict themselves.
pub(super) fn azure(place: &Place, options: &StoreOptions) -> Result<Remote> {
    let counters = Arc::<Counters>::default();
    let endpoint = options.endpoint_of(&["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"]);
    let mut builder = MicrosoftAzureBuilder::new()
        .with_container_name(&place.bucket)
        .with_retry(no_retries())
        .with_client_options(client_options(options, endpoint)?)
        .with_disable_tagging(true)
        .with_http_connector(tap(options, &counters));
    for (name, value) in options.vars.0.iter().filter(|(name, _)| name.starts_with("AZURE_")) {
        if let Ok(key) = name.to_ascii_lowercase().parse::<AzureConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    // The names that Azure's own command line uses.
    for (name, key) in [
        ("AZURE_STORAGE_ACCOUNT", AzureConfigKey::AccountName),
        ("AZURE_STORAGE_KEY", AzureConfigKey::AccessKey),
    ] {
        if let Some(value) = options.var(name) {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
    }
    let store = Arc::new(builder.build().map_err(not_built)?);
    Ok(remote(store, None, place, options, counters, format!("az://{}", place.bucket)))
}

/// Makes the client of a Google Cloud Storage bucket; credentials come from `GOOGLE_*`.
///
/// # Errors
/// [`Kind::Usage`] when the options contradict themselves.
pub(super) fn gcs(place: &Place, options: &StoreOptions) -> Result<Remote> {
    let counters = Arc::<Counters>::default();
    let endpoint = options.endpoint_of(&["GOOGLE_BASE_URL"]);
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&place.bucket)
        .with_retry(no_retries())
        .with_client_options(client_options(options, endpoint)?)
        .with_http_connector(tap(options, &counters));
    for (name, value) in options.vars.0.iter().filter(|(name, _)| name.starts_with("GOOGLE_")) {
        if let Ok(key) = name.to_ascii_lowercase().parse::<GoogleConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = endpoint {
        builder = builder.with_base_url(endpoint.trim_end_matches('/'));
    }
    let store = Arc::new(builder.build().map_err(not_built)?);
    Ok(remote(
        store.clone(),
        Some(store),
        place,
        options,
        counters,
        format!("gs://{}", place.bucket),
    ))
}

fn remote<S: ObjectStore + MultipartStore>(
    store: Arc<S>,
    pages: Option<Arc<dyn PaginatedListStore>>,
    place: &Place,
    options: &StoreOptions,
    counters: Arc<Counters>,
    site: String,
) -> Remote {
    Remote {
        store: store.clone(),
        parts: store,
        pages,
        prefix: place.prefix.clone(),
        site,
        request_timeout: options.request_timeout,
        counters,
    }
}

fn tap(options: &StoreOptions, counters: &Arc<Counters>) -> TapConnector {
    let vars = ["AWS_METADATA_ENDPOINT", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
    let host = |url: &str| Some(url.split_once("://")?.1.split('/').next()?.to_owned());
    let credential_hosts = vars.iter().filter_map(|name| host(options.var(name)?)).collect();
    TapConnector { counters: counters.clone(), credential_hosts }
}

/// `object_store` repeats nothing by itself: it cannot know which writes may be repeated.
fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, retry_timeout: Duration::ZERO, backoff: BackoffConfig::default() }
}

fn client_options(options: &StoreOptions, endpoint: Option<&str>) -> Result<ClientOptions> {
    // The objects are encrypted and signed by chartfs: a plain endpoint on a local network works.
    let plain = endpoint.is_some_and(|e| e.starts_with("http://"));
    let mut client = ClientOptions::new()
        .with_allow_http(plain)
        .with_connect_timeout(options.connect_timeout)
        .with_pool_idle_timeout(Duration::from_secs(30))
        // The deadline that grows with the length of the transfer is in `remote`.
        .with_timeout_disabled()
        .with_read_timeout(options.request_timeout);
    if let Some(path) = &options.ca_bundle {
        let shown = path.display();
        let unusable = |e: &dyn std::fmt::Display| {
            Error::new(Kind::Usage, format!("cannot use the certificates in {shown}")).because(e)
        };
        let pem = std::fs::read(path).map_err(|e| unusable(&e))?;
        for certificate in Certificate::from_pem_bundle(&pem).map_err(|e| unusable(&e))? {
            client = client.with_root_certificate(certificate);
        }
    }
    Ok(client)
}

fn not_an_endpoint(endpoint: &str) -> Error {
    Error::new(Kind::Usage, format!("{endpoint:?} is not an endpoint"))
        .hint("write it as http://host:port or https://host")
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn not_built(error: object_store::Error) -> Error {
    Error::new(Kind::Usage, "the bucket cannot be opened with these settings")
        .because(innermost(&error))
        .hint("check the variables of the cloud: AWS_*, AZURE_STORAGE_ACCOUNT_NAME, GOOGLE_*")
}
