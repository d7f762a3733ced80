//! Each stage of a request's way, with criterion: `cargo bench -p portcullis-benches --bench stages`.

use std::hint::black_box;

use anyhow::Result;
use criterion::{Criterion, criterion_group, criterion_main};
use http::Method;
use portcullis_benches::{Gate, Head, Pool, Who, at_once};
use tokio::runtime::Runtime;

fn stages(criterion: &mut Criterion) {
    // A bench that cannot be set up is no bench: criterion has no way to say so.
    if let Err(error) = try_stages(criterion) {
        eprintln!("the benches cannot run: {error:?}");
        std::process::exit(1);
    }
}

fn try_stages(criterion: &mut Criterion) -> Result<()> {
    let runtime = Runtime::new()?;
    let pool = runtime.block_on(Pool::new())?;
    let token = runtime.block_on(pool.sign_in())?;
    let gate = runtime.block_on(Gate::new(&pool))?;
    let verified = runtime.block_on(gate.verify(&token))?;
    let who = Who {
        verified,
        remember: true,
    };

    criterion.bench_function("route", |bench| {
        bench.iter(|| {
            black_box(gate.table.find(
                black_box("api5.example.com"),
                black_box("/pets/1/photos/2"),
                &Method::GET,
            ))
        });
    });
    criterion.bench_function("verify/first-seen", |bench| {
        bench.iter(|| {
            black_box(at_once(gate.verify_first_seen()));
        });
    });
    criterion.bench_function("verify/remembered", |bench| {
        bench.iter(|| black_box(at_once(gate.verify(black_box(&token)))));
    });
    criterion.bench_function("decide/afresh", |bench| {
        bench.iter(|| {
            black_box(
                gate.guard
                    .decide_afresh(black_box(Head), &who, gate.now)
                    .is_ok(),
            )
        });
    });
    criterion.bench_function("decide/remembered", |bench| {
        bench.iter(|| black_box(gate.guard.decide(black_box(Head), &who, gate.now).is_ok()));
    });
    Ok(())
}

criterion_group!(benches, stages);
criterion_main!(benches);
