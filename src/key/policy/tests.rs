//! The policy language against truth tables, and against texts that are wrong.

use proptest::prelude::*;

use super::*;

fn policy(text: &str) -> Policy {
    Policy::parse(text, None).unwrap()
}

fn canonical(text: &str) -> String {
    policy(text).to_string()
}

/// Returns what the error says, and asserts that it is one of usage.
fn refused(text: &str) -> (String, String) {
    let e = Policy::parse(text, None).expect_err(text);
    assert_eq!(e.kind(), Kind::Usage, "{text}");
    (e.what().to_owned(), e.why().unwrap_or("").to_owned())
}

fn attribute(text: &str) -> Attribute {
    text.parse().unwrap()
}

#[test]
fn a_policy_is_its_minimal_clauses_in_one_order() {
    assert_eq!(canonical("a@x"), "a@x");
    assert_eq!(canonical("b@x and a@x and b@x"), "a@x and b@x");
    assert_eq!(canonical("a@x or a@x and b@y"), "a@x");
    assert_eq!(canonical("(a@x and b@y) or (c@x and d@y)"), "(a@x and b@y) or (c@x and d@y)");
    assert_eq!(
        canonical("(a@x or b@y) and (c@x or d@y)"),
        canonical(
            "(d@y and b@y) or (a@x and c@x) or (c@x and b@y) or (a@x and d@y) or (a@x and b@y and c@x)"
        )
    );
    assert_eq!(
        canonical("2 of (a@x, b@x, c@x)"),
        "(a@x and b@x) or (a@x and c@x) or (b@x and c@x)"
    );
    assert_eq!(canonical("1 of (a@x, b@x)"), canonical("a@x or b@x"));
    assert_eq!(canonical("2 of(a@x,b@x)"), canonical("a@x and b@x"));
    assert_eq!(canonical("((((a@x))))"), "a@x");
    assert_eq!(canonical(" a@x\n\tor\r\nb@x "), "a@x or b@x");
}

#[test]
fn a_clause_is_in_the_order_of_a_capsules_rows() {
    let policy = policy("b@x and a@y and c@a");
    let clause = &policy.clauses()[0];
    assert_eq!(clause.to_string(), "c@a and b@x and a@y");
    assert_eq!(clause.attributes()[0], attribute("c@a"));
}

#[test]
fn nobody_is_satisfied_by_nothing_and_stands_alone() {
    let nobody = policy("nobody");
    assert_eq!((nobody.to_string().as_str(), nobody.clauses().len()), ("nobody", 0));
    assert!(!nobody.satisfied_by(&|_| true));
    assert_eq!(nobody.missing(&|_| true), None);
    assert!(refused("a@x or nobody").1.starts_with("'nobody' stands alone"));
    assert_eq!(Policy::any_of([&nobody, &policy("a@x")]).unwrap(), policy("a@x"));
    assert_eq!(Policy::any_of([]).unwrap(), nobody);
    // An attribute may have the name of a keyword.
    assert_eq!(canonical("nobody@x and or@y"), "nobody@x and or@y");
}

#[test]
fn the_patient_is_put_in_the_place_of_the_variable() {
    let patient: AuthorityId = "p-17".parse().unwrap();
    let text = "owner@{patient} or (kin@{patient} and nurse@st-mary)";
    let bound = Policy::parse(text, Some(&patient)).unwrap();
    assert_eq!(bound, policy("owner@p-17 or (kin@p-17 and nurse@st-mary)"));
    let (what, why) = refused(text);
    assert_eq!(what, "the policy cannot be read at column 7");
    assert!(why.starts_with("there is no patient here to put for {patient}\n"), "{why}");
    for bad in ["a@{doctor}", "a@{patient}x", "a@x{patient}", "{patient}@x", "{patient}"] {
        assert!(Policy::parse(bad, Some(&patient)).is_err(), "{bad}");
    }
}

#[test]
fn errors_point_at_the_column() {
    let cases = [
        ("", 1, EXPECTED),
        ("   ", 4, EXPECTED),
        ("a@x and", 8, EXPECTED),
        ("a@x and or b@x", 9, EXPECTED),
        ("and a@x", 1, EXPECTED),
        ("()", 2, EXPECTED),
        ("a@x b@x", 5, "'and', 'or' or the end"),
        ("a@x or (b@x and c@x", 8, "this '(' is not closed"),
        ("a@x) or b@x", 4, "no '(' is open"),
        ("(a@x, b@x)", 5, "a ',' stands only"),
        ("a@x, b@x", 4, "a ',' stands only"),
        ("3 of (a@x, b@x)", 1, "k must be 1 to 2"),
        ("0 of (a@x, b@x)", 1, "k must be 1 to 2"),
        ("99999999999999999999 of (a@x)", 1, "k must be"),
        ("2 (a@x)", 3, "'of' is expected"),
        ("2", 2, "'of' is expected"),
        ("2 of a@x", 6, "'(' is expected"),
        ("2 of", 5, "'(' is expected"),
        ("2 of (a@x,)", 11, EXPECTED),
        ("2 of (a@x, b@x", 1, "this '(' is not closed"),
        ("a@x AND b@x", 5, "'and', 'or' or the end"),
        ("a@x or Physician@x", 8, "a name is made of"),
        ("a@x or b@Y", 10, "a name is made of"),
        ("a@x or ärztin@x", 8, "a name is made of"),
        ("ä@x", 1, "a name is made of"),
        ("a@x or b@", 10, "a name has 1 to 63"),
        ("a@b@c", 3, "a name is made of"),
        ("a@x or b", 8, "an attribute is written name@authority"),
        ("1", 2, "'of' is expected"),
        ("a#1@x", 1, "a name is made of"),
    ];
    for (text, column, why_start) in cases {
        let (what, why) = refused(text);
        assert_eq!(what, format!("the policy cannot be read at column {column}"), "{text}");
        let lines: Vec<&str> = why.lines().collect();
        assert!(lines[0].starts_with(why_start), "{text}: {why}");
        assert_eq!(lines[2].chars().count(), column + 2, "{text}: {why}");
        assert!(lines[2].ends_with('^'));
    }
    let (what, why) = refused("a@x or\n  b@x c@x");
    assert_eq!(what, "the policy cannot be read at line 2, column 7");
    assert_eq!(why.lines().nth(1), Some("    b@x c@x"));
    let (_, why) = refused(&format!("{}nix", "a@x or ".repeat(100)));
    assert!(why.lines().all(|l| l.chars().count() < 100), "{why}");
}

const EXPECTED: &str = "an attribute, '(' or 'k of (' is expected here";

fn many(count: usize, between: &str) -> String {
    (0..count).map(|i| format!("a{i}@x")).collect::<Vec<_>>().join(between)
}

#[test]
fn limits_hold_while_the_policy_is_expanded() {
    assert_eq!(policy(&many(64, " or ")).clauses().len(), 64);
    assert!(refused(&many(65, " or ")).1.contains("64 clauses"));
    assert_eq!(policy(&many(32, " and ")).clauses()[0].attributes().len(), 32);
    assert!(refused(&many(33, " and ")).1.contains("32 attributes in one clause"));
    assert!(refused(&many(257, " and ")).1.contains("256 different"));
    assert!(refused(&format!("2 of ({})", many(65, ", "))).1.contains("64 members"));
    assert!(refused(&format!("32 of ({})", many(64, ", "))).1.contains("64 clauses"));
    assert_eq!(policy(&format!("11 of ({})", many(12, ", "))).clauses().len(), 12);
    assert_eq!(policy(&format!("6 of ({})", many(8, ", "))).clauses().len(), 28);
    let five =
        |i: usize| (0..5).map(|j| format!("a{}@x", 5 * i + j)).collect::<Vec<_>>().join(" and ");
    let rows = |n| (0..n).map(five).collect::<Vec<_>>().join(" or ");
    assert_eq!(policy(&rows(51)).clauses().len(), 51);
    assert!(refused(&rows(52)).1.contains("256"), "260 rows");
    let product = (0..40).map(|i| format!("(a{i}@x or b{i}@x)")).collect::<Vec<_>>().join(" and ");
    assert!(refused(&product).1.contains("64 clauses"));
    let deep = |n| format!("{}a@x{}", "(".repeat(n), ")".repeat(n));
    assert_eq!(canonical(&deep(32)), "a@x");
    assert_eq!(refused(&deep(33)).0, "the policy cannot be read at column 33");
    assert_eq!(refused(&"(".repeat(10_000)).0, "the policy cannot be read at column 33");
    assert!(refused(&" ".repeat(16_385)).1.contains("16384 bytes"));
}

#[test]
fn a_policy_whose_parts_repeat_is_refused_before_the_work_grows() {
    let six = (0..6).map(|i| format!("(a{i}@x or b{i}@x)")).collect::<Vec<_>>().join(" and ");
    let list = vec![six.as_str(); 64].join(", ");
    assert!(refused(&format!("32 of ({list})")).1.contains("repeat each other"));
}

#[test]
fn the_limits_hold_for_the_union_of_policies_too() {
    let half = |c: char| policy(&many(40, " or ").replace('a', &c.to_string()));
    assert!(Policy::any_of([&half('b'), &half('c')]).is_err());
    assert_eq!(Policy::any_of([&half('b'), &half('b')]).unwrap(), half('b'));
    let narrow = policy("b0@x and z@x");
    assert_eq!(Policy::any_of([&narrow, &half('b')]).unwrap(), half('b'));
}

#[test]
fn what_is_missing_is_the_smallest_set() {
    let p = policy("(a@x and b@x and c@x) or (d@x and e@x)");
    let has = |list: &'static [&str]| move |a: &Attribute| list.contains(&a.to_string().as_str());
    assert_eq!(p.missing(&has(&[])).unwrap(), [&attribute("d@x"), &attribute("e@x")]);
    assert_eq!(p.missing(&has(&["a@x", "c@x"])).unwrap(), [&attribute("b@x")]);
    assert!(p.missing(&has(&["d@x", "e@x"])).unwrap().is_empty());
    assert_eq!(p.attributes().count(), 5);
}

#[test]
fn an_explanation_is_a_tree_with_a_mark_on_every_part() {
    let text = "owner@p or (physician@m and on-duty@m) or 2 of (a@x, b@x, c@x)";
    let has = |a: &Attribute| ["physician@m", "a@x", "c@x"].contains(&a.to_string().as_str());
    assert_eq!(
        explain(text, None, &has).unwrap(),
        "✓ any of\n  ✗ owner@p\n  ✗ all of\n    ✓ physician@m\n    ✗ on-duty@m\n  ✓ 2 of\n    \
         ✓ a@x\n    ✗ b@x\n    ✓ c@x\n"
    );
    assert_eq!(explain("nobody", None, &has).unwrap(), "✗ nobody\n");
}

const LETTERS: [&str; 6] = ["a@x", "b@x", "c@y", "d@y", "e@z", "f@z"];

/// Makes formulas over six attributes as text, at most four levels deep.
fn formula_text() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(&LETTERS[..]).prop_map(str::to_owned);
    leaf.prop_recursive(4, 40, 4, |inner| {
        let parts = prop::collection::vec(inner, 1..5);
        prop_oneof![
            parts.clone().prop_map(|p| format!("({})", p.join(" and "))),
            parts.clone().prop_map(|p| format!("({})", p.join(" or "))),
            parts.clone().prop_map(|p| p.join(" and ")),
            (parts, any::<prop::sample::Index>()).prop_map(|(p, k)| format!(
                "{} of ({})",
                k.index(p.len()) + 1,
                p.join(", ")
            )),
        ]
    })
}

/// Evaluates a text by recursion, with a grammar written down independently of the parser.
fn evaluate_text(text: &str, held: &[&str]) -> bool {
    fn split<'a>(text: &'a str, at: &str) -> Vec<&'a str> {
        let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
        for (i, c) in text.char_indices() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ if depth == 0 && text[i..].starts_with(at) && i >= start => {
                    parts.push(&text[start..i]);
                    start = i + at.len();
                }
                _ => {}
            }
        }
        parts.push(&text[start..]);
        parts
    }
    let or = split(text, " or ");
    if or.len() > 1 {
        return or.iter().any(|t| evaluate_text(t, held));
    }
    let and = split(text, " and ");
    if and.len() > 1 {
        return and.iter().all(|t| evaluate_text(t, held));
    }
    let inside = |t: &'_ str| t.trim_end_matches(' ').strip_suffix(')').map(str::to_owned);
    if let Some((k, list)) = text.split_once(" of (").filter(|(k, _)| k.parse::<usize>().is_ok()) {
        let list = inside(list).unwrap();
        let held = split(&list, ", ").iter().filter(|t| evaluate_text(t, held)).count();
        return held >= k.parse::<usize>().unwrap();
    }
    match text.strip_prefix('(') {
        Some(rest) => evaluate_text(&inside(rest).unwrap(), held),
        None => held.contains(&text),
    }
}

proptest! {
    #[test]
    fn clauses_mean_what_the_formula_means(text in formula_text()) {
        let p = policy(&text);
        let formula = parse::formula(&text, None).unwrap();
        for world in 0..64 {
            let held: Vec<&str> = (0..6).filter(|i| world >> i & 1 == 1).map(|i| LETTERS[i]).collect();
            let has = |a: &Attribute| held.contains(&a.to_string().as_str());
            let expected = evaluate_text(&text, &held);
            prop_assert_eq!(p.satisfied_by(&has), expected, "{} with {:?}", text, held);
            prop_assert_eq!(explain::evaluate(&formula, &has)[formula.root.unwrap()], expected);
            prop_assert_eq!(p.missing(&has).unwrap().is_empty(), expected);
        }
    }

    #[test]
    fn the_canonical_text_is_a_fixed_point_and_minimal(text in formula_text()) {
        let p = policy(&text);
        prop_assert_eq!(&policy(&p.to_string()), &p);
        for (i, a) in p.clauses().iter().enumerate() {
            for (j, b) in p.clauses().iter().enumerate() {
                prop_assert!(i == j || !a.is_within(b), "{} absorbs {}", a, b);
            }
        }
    }

    #[test]
    fn what_a_policy_means_alone_decides_equality(a in formula_text(), b in formula_text()) {
        let same = (0..64).all(|world| {
            let held: Vec<&str> = (0..6).filter(|i| world >> i & 1 == 1).map(|i| LETTERS[i]).collect();
            evaluate_text(&a, &held) == evaluate_text(&b, &held)
        });
        prop_assert_eq!(policy(&a) == policy(&b), same);
        let either = Policy::any_of([&policy(&a), &policy(&b)]).unwrap();
        prop_assert_eq!(either, policy(&format!("({a}) or ({b})")));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*", words in prop::collection::vec(
        prop::sample::select(&["(", ")", ",", "and", "or", "of", "2", "0", "a@x", "b@{patient}",
            "nobody", "é@x", "@", "{", "\n", "\u{85}"][..]), 0..60)) {
        let patient: AuthorityId = "p".parse().unwrap();
        for text in [text, words.join(" "), words.concat()] {
            if let Ok(p) = Policy::parse(&text, Some(&patient)) {
                prop_assert_eq!(&policy(&p.to_string()), &p);
            }
            let _ = explain(&text, None, &|_| true);
        }
    }
}
