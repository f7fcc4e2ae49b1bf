//! A small evaluator of CEL, for the `x-kubernetes-validations` that the served definitions have.
//!
//! Literals, `self`, `oldSelf`, fields, indexes, `has()`, the operators, `in`, `? :`, lists, the macros `all`, `exists`,
//! `exists_one`, `filter`, `map`, and the methods `size`, `matches`, `startsWith`, `endsWith`, `contains`.
//! What it doesn't understand it says (`None`), and such a rule is not enforced.

use std::iter::Peekable;
use std::vec::IntoIter;

use serde_json::Value;

use super::schema::matches;

/// Whether a rule holds; nothing if the rule is beyond this evaluator or an operand is missing.
pub(super) fn holds(rule: &str, this: &Value, old: Option<&Value>) -> Option<bool> {
    let mut parser = Parser { tokens: tokens(rule)?.into_iter().peekable() };
    let expression = parser.ternary()?;
    if parser.tokens.next().is_some() {
        return None;
    }
    let mut scope = vec![("self".to_owned(), this.clone())];
    scope.extend(old.map(|old| ("oldSelf".to_owned(), old.clone())));
    expression.eval(&scope)?.as_bool()
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Literal(Value),
    Symbol(&'static str),
}

const SYMBOLS: &[&str] =
    &["==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "?", ":", "(", ")", "[", "]", ".", ",", "+", "-"];

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first == '\'' || first == '"' {
            let end = rest[1..].find(first)? + 1;
            tokens.push(Token::Literal(rest[1..end].replace("\\\\", "\\").into()));
            end + 1
        } else if first.is_ascii_digit() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            tokens.push(Token::Literal(rest[..end].parse::<i64>().ok()?.into()));
            end
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(match &rest[..end] {
                "true" => Token::Literal(true.into()),
                "false" => Token::Literal(false.into()),
                "null" => Token::Literal(Value::Null),
                "in" => Token::Symbol("in"),
                name => Token::Name(unescaped(name)),
            });
            end
        } else {
            let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol))?;
            tokens.push(Token::Symbol(symbol));
            symbol.len()
        };
        rest = rest[length..].trim_start();
    }
    Some(tokens)
}

/// Fields named like keywords are written `__import__`.
fn unescaped(name: &str) -> String {
    name.strip_prefix("__").and_then(|n| n.strip_suffix("__")).unwrap_or(name).to_owned()
}

#[derive(Debug)]
enum Expression {
    Literal(Value),
    Name(String),
    List(Vec<Self>),
    Field(Box<Self>, String),
    Index(Box<Self>, Box<Self>),
    Has(Box<Self>),
    Call(Box<Self>, String, Vec<Self>),
    Not(Box<Self>),
    Negative(Box<Self>),
    Binary(&'static str, Box<Self>, Box<Self>),
    Choice(Box<Self>, Box<Self>, Box<Self>),
}

struct Parser {
    tokens: Peekable<IntoIter<Token>>,
}

impl Parser {
    fn eat(&mut self, symbol: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Symbol(s) if *s == symbol)).is_some()
    }

    fn expect(&mut self, symbol: &str) -> Option<()> {
        self.eat(symbol).then_some(())
    }

    fn ternary(&mut self) -> Option<Expression> {
        let condition = self.binary(0)?;
        if !self.eat("?") {
            return Some(condition);
        }
        let yes = self.ternary()?;
        self.expect(":")?;
        let no = self.ternary()?;
        Some(Expression::Choice(Box::new(condition), Box::new(yes), Box::new(no)))
    }

    fn binary(&mut self, level: usize) -> Option<Expression> {
        const LEVELS: &[&[&str]] =
            &[&["||"], &["&&"], &["==", "!=", "<=", ">=", "<", ">", "in"], &["+", "-"]];
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = operators.iter().copied().find(|operator| self.eat(operator)) {
            let right = self.binary(level + 1)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<Expression> {
        if self.eat("!") {
            return Some(Expression::Not(Box::new(self.unary()?)));
        }
        if self.eat("-") {
            return Some(Expression::Negative(Box::new(self.unary()?)));
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Option<Expression> {
        let mut expression = self.primary()?;
        loop {
            if self.eat(".") {
                let Token::Name(name) = self.tokens.next()? else { return None };
                expression = if self.eat("(") {
                    Expression::Call(Box::new(expression), name, self.arguments(")")?)
                } else {
                    Expression::Field(Box::new(expression), name)
                };
            } else if self.eat("[") {
                let index = self.ternary()?;
                self.expect("]")?;
                expression = Expression::Index(Box::new(expression), Box::new(index));
            } else {
                return Some(expression);
            }
        }
    }

    fn primary(&mut self) -> Option<Expression> {
        match self.tokens.next()? {
            Token::Literal(value) => Some(Expression::Literal(value)),
            Token::Symbol("(") => {
                let inner = self.ternary()?;
                self.expect(")")?;
                Some(inner)
            }
            Token::Symbol("[") => Some(Expression::List(self.arguments("]")?)),
            Token::Name(name) if self.eat("(") => {
                let mut arguments = self.arguments(")")?;
                match (name.as_str(), arguments.len()) {
                    ("has", 1) => Some(Expression::Has(Box::new(arguments.remove(0)))),
                    ("size", 1) => Some(Expression::Call(Box::new(arguments.remove(0)), name, Vec::new())),
                    _ => None,
                }
            }
            Token::Name(name) => Some(Expression::Name(name)),
            Token::Symbol(_) => None,
        }
    }

    fn arguments(&mut self, end: &str) -> Option<Vec<Expression>> {
        let mut arguments = Vec::new();
        if self.eat(end) {
            return Some(arguments);
        }
        loop {
            arguments.push(self.ternary()?);
            if self.eat(end) {
                return Some(arguments);
            }
            self.expect(",")?;
        }
    }
}

type Scope = Vec<(String, Value)>;

impl Expression {
    fn eval(&self, scope: &Scope) -> Option<Value> {
        match self {
            Self::Literal(value) => Some(value.clone()),
            Self::Name(name) => {
                scope.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone())
            }
            Self::List(items) => {
                items.iter().map(|item| item.eval(scope)).collect::<Option<Vec<_>>>().map(Value::from)
            }
            Self::Field(of, name) => of.eval(scope)?.get(name).cloned(),
            Self::Index(of, index) => match (of.eval(scope)?, index.eval(scope)?) {
                (Value::Array(items), index) => items.get(usize::try_from(index.as_u64()?).ok()?).cloned(),
                (Value::Object(map), index) => map.get(index.as_str()?).cloned(),
                _ => None,
            },
            Self::Has(field) => {
                let Self::Field(of, name) = &**field else { return None };
                Some(of.eval(scope)?.get(name).is_some().into())
            }
            Self::Call(of, method, arguments) => call(&of.eval(scope)?, method, arguments, scope),
            Self::Not(inner) => Some((!inner.eval(scope)?.as_bool()?).into()),
            Self::Negative(inner) => Some((-inner.eval(scope)?.as_i64()?).into()),
            Self::Binary(operator, left, right) => binary(operator, left, right, scope),
            Self::Choice(condition, yes, no) => {
                if condition.eval(scope)?.as_bool()? {
                    yes.eval(scope)
                } else {
                    no.eval(scope)
                }
            }
        }
    }
}

fn binary(operator: &str, left: &Expression, right: &Expression, scope: &Scope) -> Option<Value> {
    let truth = |expression: &Expression| expression.eval(scope).and_then(|value| value.as_bool());
    match operator {
        // As in CEL, one decisive side is enough, whatever the other is.
        "&&" => match (truth(left), truth(right)) {
            (Some(false), _) | (_, Some(false)) => Some(false.into()),
            (Some(true), Some(true)) => Some(true.into()),
            _ => None,
        },
        "||" => match (truth(left), truth(right)) {
            (Some(true), _) | (_, Some(true)) => Some(true.into()),
            (Some(false), Some(false)) => Some(false.into()),
            _ => None,
        },
        _ => {
            let (left, right) = (left.eval(scope)?, right.eval(scope)?);
            let order = match (&left, &right) {
                (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
                (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
                _ => None,
            };
            match operator {
                "==" => Some((left == right).into()),
                "!=" => Some((left != right).into()),
                "<" => Some(order?.is_lt().into()),
                "<=" => Some(order?.is_le().into()),
                ">" => Some(order?.is_gt().into()),
                ">=" => Some(order?.is_ge().into()),
                "in" => match &right {
                    Value::Array(items) => Some(items.contains(&left).into()),
                    Value::Object(map) => Some(map.contains_key(left.as_str()?).into()),
                    _ => None,
                },
                "+" => match (&left, &right) {
                    (Value::String(a), Value::String(b)) => Some(format!("{a}{b}").into()),
                    (a, b) => Some((a.as_i64()? + b.as_i64()?).into()),
                },
                "-" => Some((left.as_i64()? - right.as_i64()?).into()),
                _ => None,
            }
        }
    }
}

fn call(of: &Value, method: &str, arguments: &[Expression], scope: &Scope) -> Option<Value> {
    if let [Expression::Name(variable), body] = arguments {
        return quantify(of, method, variable, body, scope);
    }
    let argument = arguments.first().map(|argument| argument.eval(scope));
    match (method, of, argument) {
        ("size", Value::String(text), None) => Some(text.chars().count().into()),
        ("size", Value::Array(items), None) => Some(items.len().into()),
        ("size", Value::Object(map), None) => Some(map.len().into()),
        ("matches", Value::String(text), Some(pattern)) => Some(matches(pattern?.as_str()?, text).into()),
        ("startsWith", Value::String(text), Some(part)) => Some(text.starts_with(part?.as_str()?).into()),
        ("endsWith", Value::String(text), Some(part)) => Some(text.ends_with(part?.as_str()?).into()),
        ("contains", Value::String(text), Some(part)) => Some(text.contains(part?.as_str()?).into()),
        _ => None,
    }
}

fn quantify(of: &Value, method: &str, variable: &str, body: &Expression, scope: &Scope) -> Option<Value> {
    let items: Vec<Value> = match of {
        Value::Array(items) => items.clone(),
        Value::Object(map) => map.keys().map(|key| key.as_str().into()).collect(),
        _ => return None,
    };
    let mut inner = scope.clone();
    let mut results = Vec::with_capacity(items.len());
    for item in &items {
        inner.push((variable.to_owned(), item.clone()));
        let result = body.eval(&inner);
        inner.pop();
        results.push(result?);
    }
    if method == "map" {
        return Some(results.into());
    }
    let truths = results.iter().map(Value::as_bool).collect::<Option<Vec<bool>>>()?;
    let count = truths.iter().filter(|truth| **truth).count();
    match method {
        "all" => Some((count == truths.len()).into()),
        "exists" => Some((count > 0).into()),
        "exists_one" => Some((count == 1).into()),
        "filter" => Some(
            items
                .into_iter()
                .zip(truths)
                .filter(|(_, t)| *t)
                .map(|(item, _)| item)
                .collect::<Vec<_>>()
                .into(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::crd;
    use crate::kubernetes::object::Read as _;
    use serde_json::json;

    #[test]
    fn rules_of_the_definitions_are_understood() {
        fn walk(value: &Value) {
            for rule in value.items("x-kubernetes-validations") {
                assert!(
                    tokens(rule.text("rule"))
                        .is_some_and(|t| Parser { tokens: t.into_iter().peekable() }.ternary().is_some()),
                    "{rule}"
                );
            }
            match value {
                Value::Object(map) => map.values().for_each(walk),
                Value::Array(items) => items.iter().for_each(walk),
                _ => {}
            }
        }
        crd::INSTALLED.iter().for_each(|text| walk(&serde_json::from_str(text).unwrap()));
    }

    #[test]
    fn rules_hold_or_not() {
        let this =
            json!({"flavor": "x", "list": [{"name": "a"}, {"name": "b"}], "from": "Name", "name": "n"});
        let twice = json!({"list": [{"name": "a"}, {"name": "a"}]});
        for (rule, value, expected) in [
            ("(has(self.flavor) || has(self.flavorID))", &this, true),
            ("(has(self.flavor) || has(self.flavorID))", &twice, false),
            ("self.list.all(x, self.list.exists_one(y, x.name == y.name))", &this, true),
            ("self.list.all(x, self.list.exists_one(y, x.name == y.name))", &twice, false),
            ("!has(self.from) || self.from == 'Name' ? has(self.name) : !has(self.name)", &this, true),
            ("!(self.from in ['Ready','Name'])", &this, false),
            ("[has(self.flavor),has(self.none)].filter(x,x==true).size() == 1", &this, true),
            ("self.flavor.matches('^[a-z]$') && size(self.list) >= 2", &this, true),
        ] {
            assert_eq!(holds(rule, value, None), Some(expected), "{rule}");
        }
        assert_eq!(holds("self == oldSelf", &this, Some(&this)), Some(true));
        assert_eq!(holds("self.what(is) this", &this, None), None);
    }
}
