//! Nothing that a researcher's drive shows names anybody.

use super::{bundle, drive, files, read, realm, research, save};

#[tokio::test(flavor = "multi_thread")]
async fn times_and_attributes_tell_the_year_and_nobody() {
    let realm = realm().await;
    let doctor = drive(&realm, "doctor").await;
    save(&doctor, "/ana/record.json", &bundle(1)).await.unwrap();
    let view = research(&realm).await;
    let seen = files(&view, "").await;
    let folder = seen[0].rsplit_once('/').unwrap().0;
    for path in ["/", folder, &seen[0]] {
        let attr = view.resolve(path).await.unwrap();
        for time in [attr.mtime, attr.ctime, attr.atime] {
            assert_eq!((time.unix_s % 86_400, time.ns), (0, 0), "{path}");
        }
        let names = view.xattr_names(attr.ino).await.unwrap();
        let mut told = Vec::new();
        for name in names {
            told.extend(view.xattr(attr.ino, &name).await.unwrap().unwrap_or_default());
        }
        let told = String::from_utf8(told).unwrap();
        assert!(!told.contains("ana"), "{path}: {told}");
        for name in ["patient", "policy", "writer", "version"] {
            let name = format!("user.chartfs.{name}");
            assert_eq!(view.xattr(attr.ino, name.as_bytes()).await.unwrap(), None, "{path} {name}");
        }
    }
    assert!(!read(&view, &seen[0]).await.is_empty());
}
