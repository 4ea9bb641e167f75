//! Who comes next: drawn from a seed or read from a list, and recorded either way.

/// The choices of one mock.
pub(super) struct Choices {
    source: Source,
    made: Vec<Choice>,
}

enum Source {
    /// The state of a SplitMix64 generator.
    Drawn(u64),
    /// What is left of a list.
    Listed(std::vec::IntoIter<usize>),
}

struct Choice {
    taken: usize,
    of: usize,
}

impl Choices {
    pub(super) fn drawn(seed: u64) -> Self {
        Self { source: Source::Drawn(seed), made: Vec::new() }
    }

    pub(super) fn listed(list: Vec<usize>) -> Self {
        Self { source: Source::Listed(list.into_iter()), made: Vec::new() }
    }

    /// One of the numbers below `of`, which is not zero. A choice among one is none, and not recorded.
    pub(super) fn choose(&mut self, of: usize) -> usize {
        if of == 1 {
            return 0;
        }
        let taken = match &mut self.source {
            Source::Drawn(state) => scale(split_mix(state), of),
            Source::Listed(list) => list.next().map_or(0, |choice| choice % of),
        };
        self.made.push(Choice { taken, of });
        taken
    }

    pub(super) fn schedule(&self) -> Vec<usize> {
        self.made.iter().map(|choice| choice.taken).collect()
    }

    /// The next list in depth-first order: the last choice that has an alternative left takes it.
    pub(super) fn next_schedule(&self) -> Option<Vec<usize>> {
        let turn = self.made.iter().rposition(|choice| choice.taken + 1 < choice.of)?;
        let mut next: Vec<usize> = self.made[..=turn].iter().map(|choice| choice.taken).collect();
        next[turn] += 1;
        Some(next)
    }
}

/// Sebastiano Vigna's SplitMix64.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Maps a random number to one below `of`.
fn scale(random: u64, of: usize) -> usize {
    let product = u128::from(random) * of as u128;
    usize::try_from(product >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_first_order_visits_every_list_once() {
        // Two choices: among two, then (after a 0) among three or (after a 1) among one.
        let mut seen = Vec::new();
        let mut next = Some(Vec::new());
        while let Some(list) = next {
            let mut choices = Choices::listed(list);
            let first = choices.choose(2);
            let second = choices.choose(if first == 0 { 3 } else { 1 });
            seen.push((first, second));
            next = choices.next_schedule();
        }
        assert_eq!(seen, [(0, 0), (0, 1), (0, 2), (1, 0)]);
    }

    #[test]
    fn draws_stay_below_their_bound_and_reach_all_of_it() {
        let mut choices = Choices::drawn(7);
        let mut seen = [0_u32; 3];
        for _ in 0..300 {
            seen[choices.choose(3)] += 1;
        }
        assert!(seen.iter().all(|&count| count > 60), "{seen:?}");
    }
}
