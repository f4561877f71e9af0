//! Numbers and names in the words of a reader.

use super::style::{grouped, short_duration};
use crate::Counter;

/// Processes with consecutive numbers are named one by one up to this many, by their ends from there on.
const NAMED_SINGLY_MAX: usize = 2;

/// The counters that are known here, in the order in which they are told: what was done
/// first, then harm, then elections, and last how long they were felt.
const KNOWN: [&str; 26] = [
    "orders_done",
    "leaders_replaced",
    "members_changes",
    "disks_lost",
    "voters_replaced",
    "redis_uses_held",
    "stores_refused",
    "nodes_upgraded",
    "version_raised_to",
    "processes_killed",
    "processes_restarted",
    "unsynced_bytes_lost",
    "writes_torn",
    "processes_paused",
    "frames_awaiting",
    "cuts",
    "frames_dropped",
    "frames_duplicated",
    "frames_delayed",
    "disk_operations_held",
    "clocks_strayed",
    "clock_strayed_us_max",
    "campaigns",
    "leaders_elected",
    "leaderless_us",
    "unserved_us",
];

/// Measured effects as a reader says them: `killed 1, restarted 1, 2 elections`. A counter that is not known
/// here comes before the others, by its own name.
pub(super) fn effects<'a>(counters: impl Iterator<Item = (&'a str, u64)>) -> Vec<String> {
    let mut counters: Vec<(&str, u64)> = counters.collect();
    counters.sort_by_key(|(name, _)| KNOWN.iter().position(|known| known == name));
    counters.into_iter().map(|(name, value)| effect(name, value)).collect()
}

/// As [`effects`], of a fault's counters.
pub(super) fn effects_of(counters: &[Counter]) -> Vec<String> {
    effects(counters.iter().map(|counter| (counter.name.as_str(), counter.value)))
}

fn effect(name: &str, value: u64) -> String {
    match name {
        "processes_killed" => format!("killed {}", grouped(value)),
        "processes_restarted" => format!("restarted {}", grouped(value)),
        "processes_paused" => format!("paused {}", grouped(value)),
        "unsynced_bytes_lost" => format!("lost {}", counted(value, "unsynced byte")),
        "writes_torn" => format!("tore {}", counted(value, "write")),
        "frames_awaiting" => format!("{} waited", counted(value, "frame")),
        "frames_dropped" => format!("dropped {}", counted(value, "frame")),
        "frames_duplicated" => format!("doubled {}", counted(value, "frame")),
        "frames_delayed" => format!("delayed {}", counted(value, "frame")),
        "disk_operations_held" => format!("held up {}", counted(value, "disk operation")),
        "cuts" if value == 1 => "cut once".to_owned(),
        "cuts" => format!("cut {} times", grouped(value)),
        "clocks_strayed" => format!("{} strayed", counted(value, "clock")),
        "clock_strayed_us_max" => format!("by up to {}", short_duration(value)),
        "orders_done" => format!("{} carried out", counted(value, "order")),
        "leaders_replaced" => format!("{} replaced", counted(value, "leader")),
        "members_changes" => format!("members changed {}", counted(value, "time")),
        "disks_lost" => format!("{} lost", counted(value, "disk")),
        "voters_replaced" => format!("{} replaced", counted(value, "voter")),
        "redis_uses_held" => format!("{} of a Redis held up", counted(value, "use")),
        "stores_refused" => format!("{} refused", counted(value, "emptied store")),
        "nodes_upgraded" => format!("{} upgraded", counted(value, "node")),
        "version_raised_to" => format!("version raised to {value}"),
        "leaderless_us" => format!("no leader for {}", short_duration(value)),
        "unserved_us" => format!("nothing served for {}", short_duration(value)),
        "campaigns" => counted(value, "campaign"),
        "leaders_elected" => counted(value, "election"),
        other => format!("{} {}", other.replace('_', " "), grouped(value)),
    }
}

/// A number of things: `1 run`, `2 runs`. The plural is the singular with an `s`.
pub(super) fn counted(number: u64, singular: &str) -> String {
    format!("{} {singular}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A text in which whole numbers of four digits or more have their digits in groups of three. What follows
/// a decimal point, a letter or a hyphen is left as it is: it is a fraction, a name or a part of one.
pub(super) fn with_grouped_numbers(text: &str) -> String {
    let mut result = String::new();
    let mut digits = String::new();
    let mut before = ' ';
    for character in text.chars().chain(['\n']) {
        if character.is_ascii_digit() {
            digits.push(character);
            continue;
        }
        if !digits.is_empty() {
            let is_count = before.is_whitespace() || "([#".contains(before);
            match digits.parse::<u64>() {
                Ok(number) if is_count && !digits.starts_with('0') => result += &grouped(number),
                _ => result += &digits,
            }
            digits.clear();
        }
        result.push(character);
        before = character;
    }
    result.pop();
    result
}

/// A list of processes with runs of consecutive numbers by their ends: `n1 n2 n3 n5` is `n1-n3 n5`.
pub(super) fn with_ranges(processes: &str) -> String {
    let words: Vec<&str> = processes.split(' ').collect();
    let mut shown: Vec<String> = Vec::new();
    let mut position = 0;
    while position < words.len() {
        let mut last = position;
        while last + 1 < words.len() && follows(words[last], words[last + 1]) {
            last += 1;
        }
        if last - position < NAMED_SINGLY_MAX {
            shown.extend(words[position..=last].iter().map(|word| (*word).to_owned()));
        } else {
            shown.push(format!("{}-{}", words[position], words[last]));
        }
        position = last + 1;
    }
    shown.join(" ")
}

/// Whether `next` is the process after `word`: the same letter and the next number.
fn follows(word: &str, next: &str) -> bool {
    let parts = |word: &str| {
        let letter = word.chars().next()?;
        let number = word[letter.len_utf8()..].parse::<u64>().ok()?;
        letter.is_ascii_alphabetic().then_some((letter, number))
    };
    match (parts(word), parts(next)) {
        (Some((letter, number)), Some((other, following))) => {
            letter == other && number.checked_add(1) == Some(following)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{counted, effect, with_grouped_numbers, with_ranges};

    #[test]
    fn one_thing_is_not_plural() {
        assert_eq!(counted(1, "run"), "1 run");
        assert_eq!(counted(0, "run"), "0 runs");
        assert_eq!(effect("leaders_elected", 1), "1 election");
        assert_eq!(effect("cuts", 1), "cut once");
        assert_eq!(effect("cuts", 4_000), "cut 4,000 times");
    }

    #[test]
    fn an_unknown_counter_keeps_its_name() {
        assert_eq!(effect("sockets_reset", 12), "sockets reset 12");
    }

    #[test]
    fn counts_are_grouped_and_names_and_fractions_are_not() {
        assert_eq!(with_grouped_numbers("93762 events"), "93,762 events");
        assert_eq!(with_grouped_numbers("at 1234.567890s of key-12345"), "at 1,234.567890s of key-12345");
        assert_eq!(with_grouped_numbers("n12345 0012 (4000)"), "n12345 0012 (4,000)");
        assert_eq!(with_grouped_numbers("99999999999999999999999"), "99999999999999999999999");
    }

    #[test]
    fn consecutive_processes_are_named_by_their_ends() {
        assert_eq!(with_ranges("n1 n2 n3 n4 n5"), "n1-n5");
        assert_eq!(with_ranges("n1 n2"), "n1 n2");
        assert_eq!(with_ranges("n1 n3 n4 n5 -> c1 c2 c9"), "n1 n3-n5 -> c1 c2 c9");
        assert_eq!(with_ranges(""), "");
        assert_eq!(with_ranges("n9 c10 c11 c12 c13"), "n9 c10-c13");
    }
}
