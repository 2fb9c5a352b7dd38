//! The program under test: a realm in a bucket, and views of it. [`Site::mount`] is the one place
//! that makes a view.

use std::sync::Arc;
use std::time::Duration;

use chartfs::key::keyring::Keyring;
use chartfs::realm::Realm;
use chartfs::record::Records;
use chartfs::record::marks::Marks;
use chartfs::store::Bucket;
use chartfs::view::{View, ViewOptions};

use crate::rights::{POLICIES, USERS, User};
use crate::support::TestRealm;

/// Longer than any case.
const LONG: Duration = Duration::from_secs(86_400);

/// A realm and the people in it.
pub(crate) struct Site {
    bucket: Bucket,
    people: Vec<Person>,
}

struct Person {
    realm: Arc<Realm>,
    keyring: Arc<Keyring>,
}

/// What a workstation keeps when its drive is unmounted.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) user: User,
    /// Whether it believes what it knows until it is mounted again.
    pub(crate) is_stale: bool,
    pub(crate) marks: Arc<Marks>,
}

impl Desk {
    pub(crate) fn new(user: User, is_stale: bool) -> Self {
        Self { user, is_stale, marks: Arc::new(Marks::in_memory()) }
    }
}

impl Site {
    pub(crate) async fn found(bucket: Bucket) -> Self {
        let realm = TestRealm::found_with(bucket, &POLICIES[0].text()).await;
        let mut people = Vec::new();
        for (name, attribute, _) in USERS {
            let credential = realm.credential(name, &[attribute]).await;
            let keyring = Arc::new(Keyring::new(credential).expect("a new credential is good"));
            let own = Realm::open(realm.bucket.clone(), Some(&realm.genesis)).await;
            people.push(Person { realm: Arc::new(own.expect("the realm is there")), keyring });
        }
        Self { bucket: realm.bucket, people }
    }

    pub(crate) fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// Mounts the drive at a workstation.
    pub(crate) async fn mount(&self, desk: &Desk) -> Arc<View> {
        let person = &self.people[desk.user];
        let (realm, keyring) = (person.realm.clone(), person.keyring.clone());
        let records = Records::new(realm, keyring, desk.marks.clone());
        let attr_ttl = if desk.is_stale { LONG } else { Duration::ZERO };
        let options = ViewOptions { attr_ttl, grace: LONG, ..ViewOptions::default() };
        View::of(Arc::new(records), options).await.expect("the drive can be mounted")
    }
}
