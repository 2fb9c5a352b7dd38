//! Speed of cutting and joining on synthetic patients.

use std::hint::black_box;
use std::path::Path;

use chartfs::demo::patients::patient;
use chartfs::record::format::{FormatId, Rules, join, merge, take_apart};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn format(c: &mut Criterion) {
    let rules = Rules::builtin();
    let bundle = &patient(1).files[0].1;
    let (format, sections) = take_apart(bundle, "record.json", &rules);
    assert_eq!(format, FormatId::FhirJson);
    let visible = sections.keys().copied().collect();
    let text = String::from_utf8(bundle.clone()).expect("a bundle is UTF-8");
    let edited = text.replacen("finished", "cancelled", 1);

    let mut group = c.benchmark_group("format");
    group.throughput(Throughput::Bytes(bundle.len() as u64));
    group.bench_function("split and classify", |b| {
        b.iter(|| take_apart(black_box(bundle), "record.json", &rules));
    });
    group.bench_function("join", |b| b.iter(|| join(format, black_box(&sections))));
    group.bench_function("merge one edit", |b| {
        b.iter(|| merge(format, black_box(&sections), &visible, edited.as_bytes(), &rules));
    });
    group.finish();
    samples(c, &rules);
}

/// Cuts the sample bundles as well, where the folder with `data/` is given.
fn samples(c: &mut Criterion, rules: &Rules) {
    let Some(shared) = std::env::var_os("CHARTFS_SHARED") else { return };
    let folder = Path::new(&shared).join("data/fhir-r4-synthea-bundles");
    let paths = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bundles: Vec<Vec<u8>> = paths.filter_map(|e| std::fs::read(e.path()).ok()).collect();
    let mut group = c.benchmark_group("samples");
    group
        .sample_size(10)
        .throughput(Throughput::Bytes(bundles.iter().map(|b| b.len() as u64).sum()));
    group.bench_function("split and classify", |b| {
        b.iter(|| bundles.iter().map(|b| take_apart(b, "", rules).1.len()).sum::<usize>());
    });
    let cut: Vec<_> = bundles.iter().map(|b| take_apart(b, "", rules)).collect();
    group.bench_function("join", |b| {
        b.iter(|| cut.iter().map(|(format, s)| join(*format, s).len()).sum::<usize>());
    });
    group.finish();
}

criterion_group!(benches, format);
criterion_main!(benches);
