//! A bucket that lies: it deletes, swaps, moves, replays and makes up objects.

use chartfs::error::Kind;
use chartfs::realm::Realm;
use chartfs::record::check::{Progress, Report, check_bucket};
use chartfs::store::{Bucket, ObjectName};

use super::small::{Small, Snapshot, bucket_of, put, refused};
use crate::support::TestRealm;

fn folder(name: &ObjectName) -> &str {
    name.as_str().split('/').next().unwrap()
}

async fn check(small: &Small, bucket: &Bucket) -> Report {
    let realm = Realm::open(bucket.clone(), Some(&small.realm.genesis)).await;
    check_bucket(&realm.unwrap(), |_: Progress| {}).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_bucket_has_no_findings() {
    let small = Small::new().await;
    let mut last = Progress { objects: 0, bytes: 0 };
    let bucket = bucket_of(&small.now).await;
    let realm = Realm::open(bucket, Some(&small.realm.genesis)).await.unwrap();
    let report = check_bucket(&realm, |p| last = p).await.unwrap();
    assert!(report.ok(), "{:?}", report.findings);
    assert_eq!(last.objects, small.now.len() as u64);
    assert_eq!(report.counts.values().sum::<u64>(), last.objects);
    assert_eq!(last.bytes, small.now.values().map(|b| b.len() as u64).sum::<u64>());
}

// Before a new version takes its place, the old one is kept. A crash in between spoils nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_broke_off_is_no_damage() {
    let small = Small::new().await;
    let bucket = bucket_of(&small.now).await;
    let old = small.now.keys().filter(|n| folder(n) == "h").max().unwrap().as_str();
    let (place, version) = old.rsplit_once('/').unwrap();
    let record = place.rsplit_once('/').unwrap().1;
    let is_record = |n: &&ObjectName| folder(n) == "r" && n.as_str().ends_with(record);
    let now = small.now.keys().find(is_record).unwrap();
    let next = format!("{place}/{:010}", version.parse::<u64>().unwrap() + 1);
    put(&bucket, &next.parse().unwrap(), small.now[now].to_vec()).await;
    let report = check(&small, &bucket).await;
    assert!(report.ok(), "{:?}", report.findings);
}

// The keyless check sees what readers see, and what no reader looks at: old versions, old states.
#[tokio::test(flavor = "multi_thread")]
async fn the_check_names_every_object_that_was_spoiled() {
    let small = Small::new().await;
    let bucket = bucket_of(&small.now).await;
    for (name, bytes) in &small.now {
        let step = (bytes.len() / 3).max(1);
        for at in (0..bytes.len()).step_by(step).chain([bytes.len() - 1]) {
            let mut bad = bytes.to_vec();
            bad[at] ^= 0x10;
            put(&bucket, name, bad).await;
            let open = Realm::open(bucket.clone(), Some(&small.realm.genesis)).await;
            // A spoiled realm state does not even open.
            let Ok(realm) = open else {
                assert_eq!(folder(name), "realm");
                continue;
            };
            let report = check_bucket(&realm, |_| {}).await.unwrap();
            assert!(report.findings.iter().any(|f| f.object == *name), "{name} byte {at}");
        }
        put(&bucket, name, [&bytes[..], b"+"].concat()).await;
        if folder(name) != "realm" {
            let report = check(&small, &bucket).await;
            assert!(report.findings.iter().any(|f| f.object == *name), "{name} grew");
        }
        put(&bucket, name, bytes.clone()).await;
    }
    put(&bucket, &"r/readme.txt".parse().unwrap(), &b"hello"[..]).await;
    assert_eq!(check(&small, &bucket).await.findings.len(), 1);
}

// "No such file" is an answer that the bucket may not give for what a signed object names.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_damage_and_never_absence() {
    let small = Small::new().await;
    let bucket = bucket_of(&small.now).await;
    let reader = small.reader("ana").remembering();
    let expected = reader.read(&bucket).await.unwrap();
    let mut refusals = 0;
    for (name, bytes) in &small.now {
        bucket.delete(name).await.unwrap();
        // The capsules that were opened before are not asked for again: start without them.
        let reader = if folder(name) == "k" { small.reader("ana") } else { reader.clone() };
        match reader.read(&bucket).await {
            Ok(text) => assert!(text == expected, "without {name}"),
            Err(e) if name.as_str() == "realm/0000000000" => assert_eq!(e.kind(), Kind::NotFound),
            Err(e) => {
                refusals += 1;
                assert_eq!(e.kind(), Kind::Integrity, "without {name}: {e}");
            }
        }
        put(&bucket, name, bytes.clone()).await;
    }
    assert!(refusals >= 14, "{refusals}");
    // All states of an authority: the realm does not lose an authority that certificates name.
    for name in small.now.keys().filter(|n| n.as_str().starts_with("auth/st-mary/")) {
        bucket.delete(name).await.unwrap();
    }
    assert_eq!(refused(small.reader("ana").read(&bucket).await).kind(), Kind::Integrity);
}

// One object under the name of another of its kind: a record moved onto another file, an
// authority's state under another authority, yesterday's state under today's number.
#[tokio::test(flavor = "multi_thread")]
async fn no_two_objects_of_a_kind_can_be_swapped() {
    let small = Small::new().await;
    let bucket = bucket_of(&small.now).await;
    let reader = small.reader("ana").remembering();
    let expected = reader.read(&bucket).await.unwrap();
    let names: Vec<&ObjectName> = small.now.keys().collect();
    let (mut swaps, mut refusals) = (0, 0);
    for (i, a) in names.iter().enumerate() {
        for b in names[i + 1..].iter().filter(|b| folder(a) == folder(b)) {
            put(&bucket, a, small.now[*b].clone()).await;
            put(&bucket, b, small.now[*a].clone()).await;
            swaps += 1;
            match reader.read(&bucket).await {
                Ok(text) => assert!(text == expected, "{a} and {b}"),
                Err(_) => refusals += 1,
            }
            put(&bucket, a, small.now[*a].clone()).await;
            put(&bucket, b, small.now[*b].clone()).await;
        }
    }
    assert!(swaps > 300 && refusals > 20, "{refusals} of {swaps}");
}

// The bucket shows yesterday: the directory, one record, or the newest states are gone again. A
// workstation that saw today notices each of them.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_cannot_be_rolled_back() {
    let small = Small::new().await;
    for located in [small.realm.root, small.opaque] {
        let bucket = bucket_of(&small.now).await;
        let reader = small.reader("ana").remembering();
        reader.read(&bucket).await.unwrap();
        put(&bucket, &located.object(), small.older[&located.object()].clone()).await;
        let e = refused(reader.read(&bucket).await);
        assert_eq!(e.kind(), Kind::Integrity);
        assert!(e.what().contains("older version"), "{e}");
    }
    let newest_of = |chain: &str| -> ObjectName {
        let amended = "realm/0000000002".parse().unwrap();
        let of_chain = small.now.keys().chain([&amended]).filter(|n| n.as_str().starts_with(chain));
        of_chain.max().unwrap().clone()
    };
    for chain in ["realm/", "auth/st-mary/"] {
        let bucket = bucket_of(&small.now).await;
        let realm = Realm::open(bucket.clone(), None).await.unwrap();
        realm.amend(&small.realm.administrator, 9, |s| s.time_unix_s = 9).await.unwrap();
        let reader = small.reader("ana").remembering();
        reader.read(&bucket).await.unwrap();
        let name = newest_of(chain);
        bucket.delete(&name).await.unwrap();
        let e = refused(reader.read(&bucket).await);
        assert!(e.kind() == Kind::Integrity && e.what().contains("newest"), "{chain}: {e}");
    }
}

// A bucket of another realm, and objects of another realm put into this one.
#[tokio::test(flavor = "multi_thread")]
async fn objects_of_another_realm_are_nothing_here() {
    let (small, other) = (Small::new().await, Small::new().await);
    let foreign = bucket_of(&other.now).await;
    assert_eq!(refused(small.reader("ana").read(&foreign).await).kind(), Kind::Denied);
    let mut mixed: Snapshot = small.now.clone();
    let from = other.now[&other.opaque.object()].clone();
    mixed.insert(small.opaque.object(), from);
    for (name, bytes) in other.now.iter().filter(|(n, _)| matches!(folder(n), "p" | "c" | "k")) {
        mixed.insert(name.clone(), bytes.clone());
    }
    let bucket = bucket_of(&mixed).await;
    assert_eq!(refused(small.reader("ana").read(&bucket).await).kind(), Kind::Integrity);
    let report = check(&small, &bucket).await;
    assert!(report.findings.iter().any(|f| f.object == small.opaque.object()));
    assert!(report.findings.iter().any(|f| folder(&f.object) == "c"));
}

// A listing is a hint: numbers that it makes up must not lead a reader past an authority's states,
// and the largest number must not overflow.
#[tokio::test(flavor = "multi_thread")]
async fn made_up_lines_of_a_listing_mislead_nobody() {
    let small = Small::new().await;
    let bucket = bucket_of(&small.now).await;
    let expected = small.reader("ana").read(&bucket).await.unwrap();
    for made_up in ["auth/st-mary/18446744073709551615", "auth/st-mary/99", "auth/ana/zzz"] {
        put(&bucket, &made_up.parse().unwrap(), &b"x"[..]).await;
        assert!(small.reader("ana").read(&bucket).await.unwrap() == expected, "{made_up}");
        assert!(!check(&small, &bucket).await.ok(), "{made_up}");
        bucket.delete(&made_up.parse().unwrap()).await.unwrap();
    }
}

// An administrator introduces a second authority of the same name, with keys of its own, behind
// the first one's states: what is then written for it would be open to the administrator.
#[tokio::test(flavor = "multi_thread")]
async fn an_authority_cannot_be_taken_over_by_an_administrator() {
    use chartfs::realm::authority::{AuthorityKeys, AuthorityKind, AuthorityState};
    let realm = TestRealm::found(Bucket::memory()).await;
    let open = Realm::open(realm.bucket.clone(), None).await.unwrap();
    let id: chartfs::key::attribute::AuthorityId = "st-mary".parse().unwrap();
    let seq = open.authority(&id).await.unwrap().seq + 1;
    let keys = AuthorityKeys::generate(id.clone(), open.genesis());
    let kind = AuthorityKind::Hospital;
    let mut usurper = AuthorityState::introduce(open.id(), &keys, kind, &realm.administrator, 1);
    usurper.seq = seq;
    let name: ObjectName = format!("auth/st-mary/{seq:010}").parse().unwrap();
    put(&realm.bucket, &name, usurper.sign(&keys.identity).unwrap()).await;
    let fresh = Realm::open(realm.bucket.clone(), None).await.unwrap();
    assert_eq!(refused(fresh.authority(&id).await).kind(), Kind::Integrity);
    let report = check_bucket(&fresh, |_| {}).await.unwrap();
    assert!(report.findings.iter().any(|f| f.object == name));
}
