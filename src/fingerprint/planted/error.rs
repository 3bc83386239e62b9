use super::answers::AnswerList;

/// Why something cannot be planted, or a planting not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlantError {
    /// Too few or too many candidates.
    #[error("a list of answers has {least} to {most} words, not {got}", least = AnswerList::LEAST, most = AnswerList::MOST)]
    ListSize {
        /// How many there are.
        got: usize,
    },
    /// A candidate that scoring would not find as it is written.
    #[error(
        "\"{got}\" cannot be an answer of the list; write it as scoring reads it, \"{wanted}\" (lower case, letters and digits, single spaces, at most {} characters)",
        AnswerList::LONGEST
    )]
    Word {
        /// The candidate.
        got: String,
        /// How it would be read.
        wanted: String,
    },
    /// A candidate twice.
    #[error("\"{0}\" is twice in the list of answers; remove one")]
    RepeatedWord(String),
    /// More words were asked for than the built-in list has.
    #[error(
        "the built-in list has {known} words, and {got} were asked for; give a list of your own"
    )]
    TooFewWords {
        /// Asked for.
        got: usize,
        /// There are.
        known: usize,
    },
    /// A question without text, or one that is too long.
    #[error("question {number} is empty or longer than {most} bytes", most = super::planting::LONGEST_QUESTION)]
    Question {
        /// Its number, from 1.
        number: usize,
    },
    /// One question twice, in pairs or decoys: its trials would not be independent.
    #[error("the question \"{0}\" is there twice; each may be asked once")]
    RepeatedQuestion(String),
    /// More questions than there are.
    #[error(
        "{wanted} questions are wanted, and there are {known}; give more, or plant fewer pairs"
    )]
    TooFewQuestions {
        /// Wanted.
        wanted: usize,
        /// There are.
        known: usize,
    },
    /// No unburned pairs are left.
    #[error(
        "{wanted} {what} are wanted one after the other, and {left} in all were not asked yet; ask for fewer, or plant anew"
    )]
    Burned {
        /// `pairs` or `decoys`.
        what: &'static str,
        /// Wanted.
        wanted: u32,
        /// Left.
        left: u32,
    },
    /// Answers depend on a beacon that has not come yet.
    #[error("the answers wait for the beacon \"{announced}\"; give its value when it is out")]
    BeaconPending {
        /// The beacon that was announced.
        announced: String,
    },
    /// A beacon's value for a planting that announced none, or has one.
    #[error("this planting waits for no beacon; announce one when the questions are made")]
    NoBeaconAnnounced,
    /// A master key that is not of our own form.
    #[error("a planting needs a 256-bit key, not the numbers of another engine")]
    KeyForm,
    /// Not a planting.
    #[error("this is not a planting of this version; restore the file")]
    Syntax(#[source] serde_json::Error),
    /// A planting's file that contradicts itself.
    #[error(
        "the planting is damaged: its commitment is another than the one that its parts give; restore the file"
    )]
    Damaged,
    /// No randomness, or a key that is not one.
    #[error(transparent)]
    Key(#[from] crate::keys::KeyError),
}
