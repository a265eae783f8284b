//! The table of `Profile`: an App spec of which nothing is required.

use crate::field::{Field, Shape, Word};
use crate::kind::{ANNOTATIONS, API, KIND_DOC, LABELS, app};
use crate::rule;

pub(crate) static DOCUMENT: &[Field] = &[
    API,
    Field::new("kind", Shape::Word(&[Word::new("Profile", "Named defaults.")]), KIND_DOC).required(),
    Field::new("metadata", Shape::Object(METADATA), "Its name and notes.").required(),
    Field::new("spec", Shape::Object(app::SPEC), "The defaults; maps merge, lists replace, the app wins.").required(),
];

const METADATA: &[Field] = &[
    Field::new("name", Shape::Text(rule::LABEL), "Its name; that of a built-in profile overrides it.").required(),
    LABELS,
    ANNOTATIONS,
];
