//! A realm with an inbox, and what is delivered there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chartfs::store::Bucket;
use chartfs::view::{Ino, NodeKind, Taken, View, ViewOptions};

use crate::support::TestRealm;

/// The doctor may do everything, the pharmacist puts something into folders and reads nothing but
/// what is in the inbox, the psychiatrist reads nothing anywhere and puts something into folders.
pub(crate) const POLICY: &str = r#"
[folder]
list = "physician@st-mary or pharmacist@board or psychiatrist@north"
add = "physician@st-mary or pharmacist@board or psychiatrist@north"
remove = "physician@st-mary"
manage = "physician@st-mary"

[default]
read = "physician@st-mary"
write = "physician@st-mary or pharmacist@board or psychiatrist@north"

[[inbox]]
folder = "/inbox"
patients = "/patients"
new = "p-{id}"

[inbox.systems]
HOSP = "1.2.3.4"
"#;

/// The policy of an inbox that the pharmacist empties.
pub(crate) fn inbox_policy() -> String {
    let text = POLICY.split("[[inbox]]").next().unwrap();
    text.replace("remove = \"", "remove = \"pharmacist@board or ")
        .replace("read = \"", "read = \"pharmacist@board or ")
}

pub(crate) struct Site {
    pub(crate) realm: TestRealm,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with(POLICY).await
    }

    pub(crate) async fn with(policy: &str) -> Self {
        Self { realm: TestRealm::found_with(Bucket::memory(), policy).await }
    }

    /// The drive as a user sees it who has just come.
    pub(crate) async fn view(&self, user: &str) -> Arc<View> {
        let options = ViewOptions {
            attr_ttl: Duration::ZERO,
            inbox_settle: Duration::ZERO,
            ..ViewOptions::default()
        };
        View::of(self.realm.records(user).await, options).await.unwrap()
    }

    /// Files a text by name as a user.
    pub(crate) async fn take(&self, user: &str, name: &str, text: impl AsRef<[u8]>) -> Taken {
        let view = self.view(user).await;
        let taken = take(&view, name, text.as_ref()).await;
        view.drain().await.unwrap();
        taken
    }

    /// Every file of the drive as the doctor sees it, but for the index.
    pub(crate) async fn all(&self) -> BTreeMap<String, String> {
        let view = self.view("doctor").await;
        let mut all = BTreeMap::new();
        let mut todo = vec![String::new()];
        while let Some(folder) = todo.pop() {
            for entry in view.list_path(&folder).await.unwrap() {
                let path = format!("{folder}/{}", String::from_utf8(entry.name).unwrap());
                match entry.attr.kind {
                    NodeKind::Directory if path.ends_with("/.patients") => {}
                    NodeKind::Directory => todo.push(path),
                    NodeKind::File => drop(all.insert(path.clone(), read(&view, &path).await)),
                }
            }
        }
        all
    }

    /// The paths of these files.
    pub(crate) async fn paths(&self) -> Vec<String> {
        self.all().await.into_keys().collect()
    }
}

pub(crate) async fn read(view: &View, path: &str) -> String {
    let mut all = Vec::new();
    let take = |piece: bytes::Bytes| {
        all.extend_from_slice(&piece);
        Ok(())
    };
    view.read_path(path, take).await.unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

pub(crate) async fn take(view: &View, name: &str, text: &[u8]) -> Taken {
    let intake = view.inbox_at("/inbox").await.unwrap().expect("there is an inbox");
    view.take_in(&intake, name.as_bytes(), text).await.unwrap()
}

/// Writes a file into the inbox, as a program does.
pub(crate) async fn drop_in(view: &View, name: &str, text: &str) {
    let folder = view.make_path("/inbox").await.unwrap();
    assert_ne!(folder, Ino::ROOT);
    view.write_path(folder, name.as_bytes(), text.as_bytes()).await.unwrap();
}

pub(crate) fn counts(taken: Taken) -> [u64; 4] {
    [taken.created, taken.changed, taken.unchanged, taken.failed]
}

/// A message about a patient, by number, family name and birth date.
pub(crate) fn message(control: &str, number: &str, family: &str, born: &str) -> String {
    format!(
        "MSH|^~\\&|HIS|GOOD|X|Y|20240501123000||ADT^A08|{control}|P|2.5\r\
         PID|1||{number}^^^HOSP^MR||{family}^Avelin||{born}|F\rPV1|1|I\rDG1|1||I10^x^I10C\r"
    )
}

/// A bundle about a patient, with one condition.
pub(crate) fn bundle(id: &str, number: &str, born: &str, code: &str) -> String {
    format!(
        r#"{{"resourceType":"Bundle","id":"{id}","type":"collection","entry":[
 {{"fullUrl":"urn:uuid:3b1c9d84-7f2e-4f0a-9f10-6a1d2c3b4e5f","resource":{{"resourceType":"Patient","id":"3b1c9d84-7f2e-4f0a-9f10-6a1d2c3b4e5f","identifier":[{{"system":"urn:oid:1.2.3.4","value":"{number}"}}],"name":[{{"family":"Lorimarsh"}}],"birthDate":"{born}"}}}},
 {{"resource":{{"resourceType":"Condition","id":"c1","code":{{"coding":[{{"code":"{code}"}}]}},"subject":{{"reference":"urn:uuid:3b1c9d84-7f2e-4f0a-9f10-6a1d2c3b4e5f"}}}}}}
]}}
"#
    )
}
