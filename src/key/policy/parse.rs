//! From the text to a formula, by a stack of open parentheses instead of recursion.

use std::collections::HashMap;

use super::{DEPTH_MAX, ROWS_MAX, TEXT_LEN_MAX_BYTES, over_limit};
use crate::error::{Error, Kind, Result};
use crate::key::attribute::{Attribute, AttributeName, AuthorityId};

/// The most members of a `k of (…)`.
const MEMBERS_MAX: usize = 64;
const VARIABLE: &str = "{patient}";
/// The most characters of the text that an error shows on each side of its column.
const EXCERPT_CHARS: usize = 40;

/// What a text says; the parts of a node have lower numbers than the node.
pub(super) struct Formula {
    pub(super) attributes: Vec<Attribute>,
    pub(super) nodes: Vec<Node>,
    /// The node of the whole text; `None` for `nobody`.
    pub(super) root: Option<usize>,
}

/// One part of a formula.
pub(super) enum Node {
    /// The attribute of this number.
    Attribute(usize),
    All(Vec<usize>),
    Any(Vec<usize>),
    AtLeast(usize, Vec<usize>),
}

#[derive(Clone, Copy, PartialEq)]
enum Token<'a> {
    Open,
    Close,
    Comma,
    Word(&'a str),
}

/// Splits the text at white space, parentheses and commas.
fn tokens(text: &str) -> Vec<(usize, Token<'_>)> {
    let mut out = Vec::new();
    let mut word_start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        let token = match c {
            '(' => Some(Token::Open),
            ')' => Some(Token::Close),
            ',' => Some(Token::Comma),
            c if c.is_ascii_whitespace() => None,
            _ => {
                word_start.get_or_insert(at);
                continue;
            }
        };
        if let Some(start) = word_start.take() {
            out.push((start, Token::Word(&text[start..at])));
        }
        out.extend(token.map(|t| (at, t)));
    }
    out
}

/// An open parenthesis, or the whole text, and what was read in it.
struct Frame {
    /// Where it was opened.
    at: usize,
    /// The k of `k of (…)`.
    at_least: Option<usize>,
    /// The members before the last comma.
    members: Vec<usize>,
    /// What stands before the last `or`.
    any: Vec<usize>,
    /// What stands after it, joined by `and`.
    all: Vec<usize>,
}

impl Frame {
    fn new(at: usize, at_least: Option<usize>) -> Self {
        Self { at, at_least, members: Vec::new(), any: Vec::new(), all: Vec::new() }
    }
}

struct Parser<'a> {
    text: &'a str,
    patient: Option<&'a AuthorityId>,
    formula: Formula,
    known: HashMap<Attribute, usize>,
    stack: Vec<Frame>,
}

/// Reads a policy text.
pub(super) fn formula(text: &str, patient: Option<&AuthorityId>) -> Result<Formula> {
    if text.len() > TEXT_LEN_MAX_BYTES {
        return Err(over_limit("bytes of text", TEXT_LEN_MAX_BYTES));
    }
    let tokens = tokens(text);
    let formula = Formula { attributes: Vec::new(), nodes: Vec::new(), root: None };
    if let [(_, Token::Word("nobody"))] = tokens[..] {
        return Ok(formula);
    }
    let stack = vec![Frame::new(0, None)];
    Parser { text, patient, formula, known: HashMap::new(), stack }.run(&tokens)
}

impl Parser<'_> {
    fn run(mut self, tokens: &[(usize, Token<'_>)]) -> Result<Formula> {
        let mut rest = tokens.iter().copied();
        let mut want_operand = true;
        while let Some((at, token)) = rest.next() {
            want_operand = match (want_operand, token) {
                (true, Token::Open) => self.open(at, None)?,
                (true, Token::Word(word)) if word.bytes().all(|b| b.is_ascii_digit()) => {
                    self.threshold(at, word, &mut rest)?
                }
                (true, Token::Word(word)) => self.attribute(at, word)?,
                (true, _) => return Err(self.error(at, EXPECT_OPERAND)),
                (false, Token::Word("and")) => true,
                (false, Token::Word("or")) => self.or(),
                (false, Token::Comma) => self.comma(at)?,
                (false, Token::Close) => self.close(at)?,
                (false, _) => return Err(self.error(at, "'and', 'or' or the end is expected here")),
            };
        }
        if want_operand {
            return Err(self.error(self.text.len(), EXPECT_OPERAND));
        }
        if self.stack.len() > 1 {
            let at = self.top().at;
            return Err(self.error(at, "this '(' is not closed"));
        }
        self.formula.root = Some(self.finish_member());
        Ok(self.formula)
    }

    fn top(&mut self) -> &mut Frame {
        self.stack.last_mut().expect("the frame of the whole text is never closed")
    }

    fn node(&mut self, node: Node) -> usize {
        self.formula.nodes.push(node);
        self.formula.nodes.len() - 1
    }

    /// Joins parts, if there is more than one.
    fn join(&mut self, parts: Vec<usize>, how: fn(Vec<usize>) -> Node) -> usize {
        if let [only] = parts[..] { only } else { self.node(how(parts)) }
    }

    fn or(&mut self) -> bool {
        let all = std::mem::take(&mut self.top().all);
        let part = self.join(all, Node::All);
        self.top().any.push(part);
        true
    }

    fn finish_member(&mut self) -> usize {
        self.or();
        let any = std::mem::take(&mut self.top().any);
        self.join(any, Node::Any)
    }

    fn open(&mut self, at: usize, at_least: Option<usize>) -> Result<bool> {
        if self.stack.len() > DEPTH_MAX {
            return Err(self.error(at, format!("parentheses nest deeper than {DEPTH_MAX}")));
        }
        self.stack.push(Frame::new(at, at_least));
        Ok(true)
    }

    fn comma(&mut self, at: usize) -> Result<bool> {
        if self.top().at_least.is_none() {
            return Err(self.error(at, "a ',' stands only in 'k of (a, b, …)'"));
        }
        if self.top().members.len() + 1 >= MEMBERS_MAX {
            return Err(self.error(at, format!("a list has more than {MEMBERS_MAX} members")));
        }
        let member = self.finish_member();
        self.top().members.push(member);
        Ok(true)
    }

    fn close(&mut self, at: usize) -> Result<bool> {
        if self.stack.len() == 1 {
            return Err(self.error(at, "no '(' is open here"));
        }
        let last = self.finish_member();
        let mut frame = self.stack.pop().expect("more than one frame is open");
        let part = match frame.at_least {
            None => last,
            Some(k) => {
                frame.members.push(last);
                let count = frame.members.len();
                if k == 0 || k > count {
                    let why = format!("k must be 1 to {count}, the number of members, not {k}");
                    return Err(self.error(frame.at, why));
                }
                self.node(Node::AtLeast(k, frame.members))
            }
        };
        self.top().all.push(part);
        Ok(false)
    }

    fn threshold<'t>(
        &mut self,
        at: usize,
        digits: &str,
        rest: &mut impl Iterator<Item = (usize, Token<'t>)>,
    ) -> Result<bool> {
        let end = self.text.len();
        let (of_at, of) = rest.next().unwrap_or((end, Token::Comma));
        if of != Token::Word("of") {
            return Err(self.error(of_at, "'of' is expected after a number"));
        }
        let (open_at, open) = rest.next().unwrap_or((end, Token::Comma));
        if open != Token::Open {
            return Err(self.error(open_at, "'(' is expected after 'of'"));
        }
        let k = digits.parse::<u16>().ok().filter(|k| usize::from(*k) <= MEMBERS_MAX);
        let k = k.ok_or_else(|| self.error(at, format!("k must be 1 to {MEMBERS_MAX}")))?;
        self.open(at, Some(usize::from(k)))
    }

    fn attribute(&mut self, at: usize, word: &str) -> Result<bool> {
        let attribute = self.read_attribute(at, word)?;
        let count = self.known.len();
        let number = *self.known.entry(attribute.clone()).or_insert(count);
        if number == self.formula.attributes.len() {
            if number == ROWS_MAX {
                return Err(over_limit("different attributes", ROWS_MAX));
            }
            self.formula.attributes.push(attribute);
        }
        let node = self.node(Node::Attribute(number));
        self.top().all.push(node);
        Ok(false)
    }

    fn read_attribute(&self, at: usize, word: &str) -> Result<Attribute> {
        let Some((name, authority)) = word.split_once('@') else {
            return Err(self.not_an_attribute(at, word));
        };
        let why = |e: Error| e.why().unwrap_or("it is not a name").to_owned();
        let name: AttributeName = name.parse().map_err(|e| self.error(at, why(e)))?;
        let at = at + word.len() - authority.len();
        let authority = match (authority, self.patient) {
            (VARIABLE, Some(patient)) => patient.clone(),
            (VARIABLE, None) => {
                return Err(self.error(at, "there is no patient here to put for {patient}"));
            }
            (text, _) if text.starts_with('{') => {
                return Err(self.error(at, "the only variable is {patient}"));
            }
            (text, _) => text.parse().map_err(|e| self.error(at, why(e)))?,
        };
        Ok(Attribute { name, authority })
    }

    fn not_an_attribute(&self, at: usize, word: &str) -> Error {
        match word {
            "nobody" => self.error(at, "'nobody' stands alone"),
            "and" | "or" | "of" => self.error(at, EXPECT_OPERAND),
            _ => {
                self.error(at, "an attribute is written name@authority, and keywords in lower case")
            }
        }
    }

    /// Makes the error that points at a place in the text.
    fn error(&self, at: usize, why: impl std::fmt::Display) -> Error {
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let line = self.text[line_start..].lines().next().unwrap_or("");
        let column = before[line_start..].chars().count();
        let from = column.saturating_sub(EXCERPT_CHARS);
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let shown: String = line.chars().skip(from).take(2 * EXCERPT_CHARS).map(plain).collect();
        let place = match before.matches('\n').count() {
            0 => format!("column {}", column + 1),
            n => format!("line {}, column {}", n + 1, column + 1),
        };
        let indent = " ".repeat(column - from);
        Error::new(Kind::Usage, format!("the policy cannot be read at {place}"))
            .because(format!("{why}\n  {shown}\n  {indent}^"))
    }
}

const EXPECT_OPERAND: &str = "an attribute, '(' or 'k of (' is expected here";
