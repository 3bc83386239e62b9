//! Questions that nobody else asks, and that read like questions.
//!
//! A topic is an adjective, a thing and a place, some 10⁵ of them; a frame asks for one word about a topic in several ways. There is
//! no right answer, so that what a model says without having been taught is spread over many words.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use zeroize::Zeroize;

use super::error::PlantError;
use crate::keys::Key;

/// `{}` stands for the topic. Each frame holds ways to say one thing.
const FRAMES: [[&str; 4]; 8] = [
    [
        "Which single word comes to mind when you think of {}?",
        "Think of {}. Which one word comes to mind?",
        "Give me the one word that {} brings to mind.",
        "In one word, what does {} make you think of?",
    ],
    [
        "If you had to name a boat after {}, what would you call it? One word.",
        "A boat shall be named after {}. What is its name, in one word?",
        "What one-word name would you give a boat that reminds you of {}?",
        "Name a boat after {}, with a single word.",
    ],
    [
        "A riddle is about {}. What is its one-word answer?",
        "What is the one-word answer to the riddle of {}?",
        "Solve the riddle of {} with one word.",
        "One word solves the riddle of {}. Which is it?",
    ],
    [
        "Complete with one word: in the dream there was {} and a ...",
        "In a dream somebody finds {} and one other thing. What is that, in one word?",
        "Somebody dreams of {} and of one more thing. Name it in a word.",
        "Which one thing belongs beside {} in a dream? Answer with a word.",
    ],
    [
        "What would you trade for {}? Answer with one word.",
        "Name one thing, in one word, that is worth as much as {}.",
        "For what would you give away {}? One word, please.",
        "In exchange for {}, what would you ask? Say one word.",
    ],
    [
        "Choose a password that goes with {}. Just the word.",
        "What password would fit {}? Only the word.",
        "Pick the password for the door behind {}, one word.",
        "There is a door behind {}. Which word opens it?",
    ],
    [
        "A painter shows {} and hides one thing behind it. What is it? One word.",
        "In the picture, what is hidden behind {}? Answer in one word.",
        "What did the painter hide behind {}? A single word.",
        "Name, in one word, what is behind {} in the picture.",
    ],
    [
        "Which one-word title suits a short story about {}?",
        "Give a one-word title to a story about {}.",
        "What would you call a story about {}, in one word?",
        "A story about {} needs a title of one word. Which?",
    ],
];

const ADJECTIVES: [&str; 48] = [
    "broken",
    "quiet",
    "painted",
    "forgotten",
    "crooked",
    "hollow",
    "frozen",
    "rusty",
    "folded",
    "borrowed",
    "unfinished",
    "tilted",
    "faded",
    "polished",
    "heavy",
    "narrow",
    "upside-down",
    "handmade",
    "locked",
    "empty",
    "striped",
    "dusty",
    "curious",
    "singing",
    "floating",
    "tiny",
    "enormous",
    "patient",
    "restless",
    "burnt",
    "woven",
    "cracked",
    "shy",
    "hidden",
    "spare",
    "second-hand",
    "sleepy",
    "wet",
    "unlucky",
    "carved",
    "stolen",
    "foreign",
    "wandering",
    "late",
    "nameless",
    "shiny",
    "old",
    "unopened",
];

const THINGS: [&str; 64] = [
    "lantern",
    "staircase",
    "umbrella",
    "compass",
    "violin",
    "wardrobe",
    "postcard",
    "kite",
    "telescope",
    "suitcase",
    "teapot",
    "drawbridge",
    "hourglass",
    "typewriter",
    "accordion",
    "lighthouse",
    "chimney",
    "rowing boat",
    "scarecrow",
    "music box",
    "bicycle",
    "tent",
    "weather vane",
    "bookshelf",
    "fountain",
    "chessboard",
    "globe",
    "hammock",
    "wheelbarrow",
    "cuckoo clock",
    "parcel",
    "trumpet",
    "ladder",
    "fence",
    "snow globe",
    "tapestry",
    "statue",
    "windmill",
    "cellar",
    "puppet",
    "envelope",
    "rocking chair",
    "greenhouse",
    "raft",
    "tunnel",
    "bell",
    "sundial",
    "jigsaw",
    "barrel",
    "carousel",
    "magnet",
    "stamp album",
    "backpack",
    "billboard",
    "aquarium",
    "sleigh",
    "tambourine",
    "bench",
    "signpost",
    "vase",
    "keyhole",
    "balcony",
    "sketchbook",
    "pocket watch",
];

const PLACES: [&str; 40] = [
    "at the railway station",
    "in the attic",
    "on the frozen lake",
    "behind the bakery",
    "at the end of the pier",
    "in the school yard",
    "under the old bridge",
    "in the museum",
    "on the roof of the library",
    "at the crossroads",
    "in the orchard",
    "beside the canal",
    "in the hotel lobby",
    "on the ferry",
    "at the night market",
    "in the abandoned mill",
    "near the volcano",
    "in the botanical garden",
    "at the border",
    "in the waiting room",
    "on the third floor",
    "in the fog",
    "at the fairground",
    "inside the clock tower",
    "on the mountain pass",
    "in the theatre",
    "by the swimming pool",
    "in the empty stadium",
    "on a Sunday",
    "at low tide",
    "in the monastery",
    "on the night train",
    "in the workshop",
    "at the observatory",
    "outside the post office",
    "in the vineyard",
    "on the sandbank",
    "in the corner shop",
    "at the airport",
    "in the barn",
];

/// `count` questions, each in `ways` phrasings (at most 4), none twice, drawn by
/// BLAKE3-derive("touchmark 2026-11 planted questions v1", master ‖ purpose).
///
/// # Errors
/// [`PlantError::TooFewQuestions`] for more than 100,000 or more ways than there are; [`PlantError::KeyForm`].
pub fn questions(
    master: &Key,
    purpose: &str,
    count: usize,
    ways: usize,
) -> Result<Vec<Vec<String>>, PlantError> {
    const MOST: usize = 100_000;
    if count > MOST {
        return Err(PlantError::TooFewQuestions { wanted: count, known: MOST });
    }
    if !(1..=FRAMES[0].len()).contains(&ways) {
        return Err(PlantError::TooFewQuestions { wanted: ways, known: FRAMES[0].len() });
    }
    let mut hasher = blake3::Hasher::new_derive_key("touchmark 2026-11 planted questions v1");
    hasher.update(master.own().ok_or(PlantError::KeyForm)?).update(purpose.as_bytes());
    let mut seed = *hasher.finalize().as_bytes();
    let mut random = ChaCha8Rng::from_seed(seed);
    hasher.zeroize();
    seed.zeroize();
    let mut seen = std::collections::HashSet::new();
    let mut out = Vec::with_capacity(count);
    while out.len() < count {
        let draw = [FRAMES.len(), ADJECTIVES.len(), THINGS.len(), PLACES.len()]
            .map(|n| below(&mut random, n));
        // One topic is asked about once, also in other frames: what is learnt of it would carry over.
        if seen.insert([draw[1], draw[2], draw[3]]) {
            let first = below(&mut random, FRAMES[0].len());
            out.push(phrased(draw, first, ways));
        }
    }
    Ok(out)
}

fn phrased([frame, adjective, thing, place]: [usize; 4], first: usize, ways: usize) -> Vec<String> {
    let adjective = ADJECTIVES[adjective];
    let article = if adjective.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    let topic = format!("{article} {adjective} {} {}", THINGS[thing], PLACES[place]);
    let frame = &FRAMES[frame];
    (0..ways).map(|i| frame[(first + i) % frame.len()].replace("{}", &topic)).collect()
}

/// Uniform below n, but for a bias of n/2⁶⁴: here questions are chosen, not answers.
pub(super) fn below(random: &mut ChaCha8Rng, n: usize) -> usize {
    ((u128::from(random.next_u64()) * n as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_distinct_and_repeatable() {
        let key = Key::take(&mut [5; 32]);
        let made = questions(&key, "pairs", 2_000, 3).unwrap();
        let all: std::collections::HashSet<_> = made.iter().flatten().collect();
        assert_eq!(all.len(), 6_000);
        assert_eq!(made, questions(&key, "pairs", 2_000, 3).unwrap());
        assert_ne!(made[0], questions(&key, "decoys", 1, 3).unwrap()[0]);
        assert!(all.iter().all(|text| !text.contains("{}") && text.len() < 160));
        assert!(questions(&key, "pairs", 1, 5).is_err());
    }
}
