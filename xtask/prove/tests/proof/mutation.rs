//! What the fuzz tier makes of its corpus.

use trueup_prove::fuzz::mutate::{input, smallest};

#[test]
fn the_corpus_comes_first_and_then_what_differs_from_it() {
    let corpus = vec![b"kind: App\nreplicas: 3\n".to_vec(), b"kind: Target\n".to_vec()];
    let mut dice = fastrand::Rng::with_seed(1);
    assert_eq!(input(&corpus, 1, &mut dice), corpus[1]);
    let others: Vec<_> = (2..200).map(|number| input(&corpus, number, &mut dice)).collect();
    let new = others.iter().filter(|one| !corpus.contains(one)).count();
    assert!(new > 150, "{new} of {} differ", others.len());
    assert!(others.iter().any(|one| one.windows(10).any(|part| part == b"4294967295")), "numbers become telling ones");
}

#[test]
fn what_fails_is_cut_down_to_what_makes_it_fail() {
    let fails = |bytes: &[u8]| bytes.windows(2).any(|pair| pair == b"!?");
    assert_eq!(smallest(b"a long text with !? in the midst of it", fails, 1_000), b"!?");
}
