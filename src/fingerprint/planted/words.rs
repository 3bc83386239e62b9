//! Common English words for lists of answers, those of one or two tokens in usual vocabularies first.

pub(super) const WORDS: [&str; 128] = [
    "river", "winter", "evening", "letter", "iron", "stone", "island", "valley", "ocean",
    "thunder", "fire", "water", "wind", "rain", "snow", "storm", "cloud", "moon", "star", "sun",
    "night", "horse", "lion", "wolf", "bear", "fish", "bird", "rose", "honey", "bread", "butter",
    "dance", "song", "story", "book", "clock", "sword", "shield", "church", "tower", "city",
    "doctor", "king", "prince", "sister", "father", "mother", "finger", "heart", "hand", "table",
    "kitchen", "basket", "button", "thread", "leather", "yellow", "green", "blue", "black",
    "white", "red", "grey", "pink", "marble", "justice", "laughter", "danger", "hope", "dream",
    "garden", "window", "summer", "morning", "bridge", "castle", "candle", "mirror", "silver",
    "golden", "copper", "forest", "harbour", "mountain", "desert", "shadow", "earth", "eagle",
    "tiger", "rabbit", "spider", "dragon", "flower", "lily", "apple", "orange", "lemon", "cherry",
    "cheese", "salt", "pepper", "sugar", "coffee", "music", "poem", "paper", "pencil", "ruler",
    "wheel", "engine", "anchor", "arrow", "crown", "throne", "palace", "temple", "market",
    "village", "road", "ticket", "teacher", "farmer", "sailor", "soldier", "queen", "brother",
    "friend", "stranger",
];
