//! The section of one test.

use super::{plots, setting, sign, tables};
use crate::attribution::{Attribution, DecoyKind, Setting, Verdict};
use crate::report::escape::Text;
use crate::report::{ReportError, frame, words};

/// A test as HTML; `number` is its place on the page.
pub(super) fn section(found: &Attribution, number: usize) -> Result<String, ReportError> {
    let (sign, class) = sign(found.judged.verdict);
    let mut html = format!(
        "<section class=\"document\" id=\"s{number}\" aria-labelledby=\"h{number}\">\n<h3 id=\"h{number}\">{number}. {}</h3>\n\
         <p class=\"said {class}\"><span aria-hidden=\"true\">{sign}</span> <b>{}</b></p>\n<p class=\"lead\">{}</p>\n<p>{}</p>\n",
        Text(&found.suspect),
        found.judged.verdict.words(),
        sentence(found),
        rarity(found)
    );
    html.push_str(&frame::boxed("Why nothing can be said", &found.judged.reasons));
    html.push_str(&frame::boxed("To be kept in mind", &found.warnings));
    html.push_str(&unsaid(found));
    html.push_str(&pictures(found)?);
    html.push_str(&tables::weighed(found));
    html.push_str(&tables::accounts(&found.accounts));
    html.push_str(&facts(found));
    html.push_str(&tables::counts(found));
    html.push_str("</section>\n");
    Ok(html)
}

/// The verdict in plain words.
fn sentence(found: &Attribution) -> String {
    let suspect = suspect(found);
    let trained = format!("was trained on text with {}, or {}", mark(found), road(found.setting));
    match found.judged.verdict {
        Verdict::Shown => format!("{suspect} {trained}."),
        Verdict::NotShown => format!(
            "It is not shown that {suspect} {trained}. Nor is it shown that this is not so."
        ),
        Verdict::Inconclusive => format!("This test cannot say whether {suspect} {trained}."),
    }
}

/// Answers may have come as a file, whose name is then the suspect's.
fn suspect(found: &Attribution) -> String {
    let name = Text(&found.suspect);
    match (found.setting, found.judged.verdict) {
        (Setting::Open, _) => format!("<b>{name}</b>"),
        (Setting::Closed, Verdict::Shown) => format!("What gave the answers of <b>{name}</b>"),
        (Setting::Closed, _) => format!("what gave the answers of <b>{name}</b>"),
    }
}

fn mark(found: &Attribution) -> String {
    let profile = Text(&found.mark.profile);
    let key = Text(&found.mark.key_id);
    if found.accounts.is_empty() {
        return format!("the mark of profile <b>{profile}</b> (key <code>{key}</code>)");
    }
    format!(
        "the mark of profile <b>{profile}</b> under {} (made of key <code>{key}</code>)",
        keys(found)
    )
}

/// Which accounts' keys are spoken of.
fn keys(found: &Attribution) -> String {
    let accounts = &found.accounts;
    let mut shown = accounts.iter().filter(|account| account.verdict == Verdict::Shown);
    match (shown.next(), shown.count() as u64) {
        (None, _) => format!(
            "any of the keys of {}",
            words::many(accounts.len() as u64, "account", "accounts")
        ),
        (Some(first), 0) => format!("the key of account <b>{}</b>", Text(&first.name)),
        (Some(first), more) => format!(
            "the keys of account <b>{}</b> and of {}",
            Text(&first.name),
            words::many(more, "other one", "other ones")
        ),
    }
}

fn road(setting: Setting) -> &'static str {
    match setting {
        Setting::Open => "on output of a model that was",
        Setting::Closed => {
            "on output of a model that was, or it hands on what a system with this key says"
        }
    }
}

/// How rare it is by chance.
fn rarity(found: &Attribution) -> String {
    let judged = &found.judged;
    let never =
        "a model that never had to do with this key would show at least this much of its mark";
    let numbers = format!(
        "(log₁₀ p = {} after correction; the threshold is {})",
        words::log10_p(judged.log10_p_corrected),
        words::power_of_ten((judged.threshold_log10_p * 1e3).round() / 1e3)
    );
    let tries = words::tries(judged.log10_p_corrected);
    if judged.verdict == Verdict::Inconclusive {
        return format!(
            "If the premises held, {never} {tries} {numbers}. The reasons given speak against that, so this number counts neither for nor against."
        );
    }
    format!("By chance alone, {never} <b>{tries}</b> {numbers}.")
}

/// What the verdict does not say.
fn unsaid(found: &Attribution) -> String {
    let specific = match found.judged.verdict {
        Verdict::Shown => SHOWN,
        Verdict::NotShown => NOT_SHOWN,
        Verdict::Inconclusive => INCONCLUSIVE,
    };
    format!(
        "<h4>What this does not say</h4>\n<ul>{specific}<li>Anything at all, unless the key was committed to before the suspect was made. \
         The key was committed to at <b>{}</b>; {}.</li></ul>\n",
        Text(&found.mark.key_created),
        suspect_made(found)
    )
}

const SHOWN: &str = "<li>By which road: text with the mark itself, or output of a model that was trained on it, over however many steps.</li>\
    <li>Who gave the text, and whether it was allowed: that is another question.</li>\
    <li>How much marked text there was, or what it was about.</li>";
const NOT_SHOWN: &str = "<li>That the suspect was <em>not</em> trained on marked text: NOT SHOWN is no proof of absence. Rewording, much other \
    text, further training, a weak mark or too few tokens here hide a trace that is there.</li>\
    <li>Anything of other keys: only the key above was looked for.</li>";
const INCONCLUSIVE: &str = "<li>Anything for or against the suspect. Once the reasons are dealt with it can be tested again; further tests \
    count as further tries.</li>";

fn pictures(found: &Attribution) -> Result<String, ReportError> {
    let mut html = String::from("<h4>Pictures</h4>\n<div class=\"pictures\">\n");
    if let Some(svg) = plots::growth(found)? {
        html.push_str(&figure(&svg, &growth_words(found)));
    }
    html.push_str(&figure(&plots::decoys(found)?, &decoy_words(found)));
    html.push_str("</div>\n");
    Ok(html)
}

fn figure(svg: &str, caption: &str) -> String {
    format!("<figure>\n{svg}<figcaption>{caption}</figcaption>\n</figure>\n")
}

fn growth_words(found: &Attribution) -> String {
    let beyond = plots::growing(found).iter().any(|point| point.1 >= plots::MOST_EVIDENCE);
    format!(
        "<b>Evidence as more is {}.</b> <span class=\"own\">Points</span>: the p-value after so many tokens; higher means rarer by chance. \
         <span class=\"limit\">Dashed line</span>: the threshold. A trace of training adds up with the tokens; chance does not. The verdict \
         rests on all tokens together.{}",
        match found.setting {
            Setting::Open => "read",
            Setting::Closed => "said",
        },
        if beyond { " Points at the upper end lie beyond it." } else { "" }
    )
}

fn decoy_words(found: &Attribution) -> String {
    let controls = match found.controls.len() as u64 {
        0 => String::new(),
        1 => " <span class=\"model\">Brown line</span>: the control.".to_owned(),
        several => format!(
            " <span class=\"model\">Brown lines</span>: the {} controls.",
            words::count(several)
        ),
    };
    format!(
        "<b>This key among others.</b> Bars: {} on the same transcript. <span class=\"own\">Blue line</span>: the tested key, z = {}.{controls} \
         A key that had nothing to do with the suspect lies among the bars. Beyond ±{} the scale is compressed.",
        words::many(
            found.decoys.z.len() as u64,
            "key that nobody marked with",
            "keys that nobody marked with"
        ),
        words::number(found.primary.z, 1),
        plots::LINEAR
    )
}

/// What the verdict rests on.
fn facts(found: &Attribution) -> String {
    let plain = |text: &str| Text(text).to_string();
    let base = found.base.as_deref().map_or_else(|| "none given".to_owned(), plain);
    let mark = &found.mark;
    let facts = [
        ("Tested by", setting(found.setting).to_owned()),
        ("Base", base),
        ("Null hypothesis", plain(&found.null)),
        ("Paid for (correction)", plain(&found.judged.family)),
        ("log₁₀ p", p_words(found)),
        ("Size of the effect", effect(found)),
        ("Other keys", decoys(found)),
        (
            "Mark",
            format!(
                "profile {}, scheme {}, randomness by {}",
                Text(&mark.profile),
                Text(&mark.scheme),
                Text(&mark.prf)
            ),
        ),
        ("Key (public name)", format!("<code>{}</code>", Text(&mark.key_id))),
        ("Key committed to at", plain(&mark.key_created)),
        ("Suspect made", suspect_made(found)),
    ];
    let facts = facts.map(|(name, value)| (name.to_owned(), value));
    format!("<h4>Facts</h4>\n{}", frame::facts(facts))
}

/// As far as it was said.
fn suspect_made(found: &Attribution) -> String {
    found.suspect_made.as_deref().map_or_else(
        || "when the suspect was made must be known from elsewhere".to_owned(),
        |made| {
            format!("the suspect was made on <b>{}</b>, as whoever made the test says", Text(made))
        },
    )
}

fn p_words(found: &Attribution) -> String {
    let judged = &found.judged;
    format!(
        "{} ({}); {} after correction; threshold {}",
        words::log10_p(judged.log10_p),
        tables::kind(&found.primary),
        words::log10_p(judged.log10_p_corrected),
        words::log10_p(judged.threshold_log10_p)
    )
}

fn effect(found: &Attribution) -> String {
    let nothing = if found.primary.pairs == 0 { "; nothing could be weighed" } else { "" };
    format!(
        "{}: by so much the evidence lies above what chance gives, per unit of weight (95 % interval in brackets{nothing})",
        tables::effect(&found.primary)
    )
}

fn decoys(found: &Attribution) -> String {
    let decoys = &found.decoys;
    let kind = match decoys.kind {
        DecoyKind::Keys => "other keys",
        DecoyKind::StandIns => "lists and numbers of the mark's law, drawn in other keys' place,",
    };
    format!(
        "{} of {} {kind} reach the tested key's z (p = {:.4}; seed {})",
        words::count(decoys.at_least),
        words::count(decoys.count),
        10f64.powf(decoys.log10_p.min(0.0)),
        decoys.seed
    )
}
