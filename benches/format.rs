//! Speed of cutting and joining on synthetic patients.

use std::hint::black_box;

use chartfs::demo::patients::patient;
use chartfs::record::format::{FormatId, Rules, join, merge, take_apart};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn format(c: &mut Criterion) {
    let rules = Rules::builtin();
    // One bundle is small; a patient's life is not.
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
}

criterion_group!(benches, format);
criterion_main!(benches);
