//! Registers: `:read`, `:write` and `:cas`, of whole numbers.

use super::edn::Value;
use super::event::{Ended, Event, Kind, ObjectKey, Problem, Vocabulary, object_key, repeats};

const HINT_VALUE: &str = "a register holds nil or a whole number of 64 bits";
const HINT_FUNCTION: &str =
    "registers know :read, :write and :cas; for :get, :put and :append give --model kv";

/// What a register holds: a number or nothing.
pub type ForeignValue = Option<i64>;

/// What is asked of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignRegisterCall {
    /// What does it hold?
    Read,
    /// Hold this.
    Write(ForeignValue),
    /// Hold `value` if it holds `expected`.
    CompareAndSet {
        /// What must be there.
        expected: ForeignValue,
        /// What is there then.
        value: ForeignValue,
    },
}

/// What a register answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignRegisterAnswer {
    /// It holds this.
    Value(ForeignValue),
    /// It holds what was written.
    Written,
    /// It held something else than was expected, and holds it still.
    Mismatch,
}

pub(super) struct Registers;

impl Vocabulary for Registers {
    type Call = ForeignRegisterCall;
    type Answer = ForeignRegisterAnswer;

    fn object(event: &Event<'_>) -> Result<ObjectKey, Problem> {
        event.key.as_ref().map_or_else(|| Ok(ObjectKey::absent()), object_key)
    }

    fn call(event: &Event<'_>) -> Result<ForeignRegisterCall, Problem> {
        Ok(match event.function {
            "read" => ForeignRegisterCall::Read,
            "write" => ForeignRegisterCall::Write(held(&event.value)?),
            "cas" => {
                let (expected, value) = pair(&event.value)?;
                ForeignRegisterCall::CompareAndSet { expected, value }
            }
            other => return Err((format!("a register knows no :{other}"), HINT_FUNCTION)),
        })
    }

    fn ended(call: &ForeignRegisterCall, event: &Event<'_>) -> Result<Ended<ForeignRegisterAnswer>, Problem> {
        let is_ok = event.kind == Kind::Ok;
        let answer = match *call {
            ForeignRegisterCall::Read if is_ok => ForeignRegisterAnswer::Value(held(&event.value)?),
            ForeignRegisterCall::Write(value) if is_ok => {
                repeats(held(&event.value)? == value)?;
                ForeignRegisterAnswer::Written
            }
            ForeignRegisterCall::Read | ForeignRegisterCall::Write(_) => return Ok(Ended::Nothing),
            ForeignRegisterCall::CompareAndSet { .. } if event.has_reason && !is_ok => {
                return Ok(Ended::Nothing);
            }
            ForeignRegisterCall::CompareAndSet { expected, value } => {
                repeats(pair(&event.value)? == (expected, value))?;
                if is_ok { ForeignRegisterAnswer::Written } else { ForeignRegisterAnswer::Mismatch }
            }
        };
        Ok(Ended::Answered(answer))
    }
}

fn held(value: &Value<'_>) -> Result<ForeignValue, Problem> {
    match value {
        Value::Nil => Ok(None),
        Value::Number(number) => Ok(Some(*number)),
        _ => Err(("the value is neither nil nor a whole number".to_owned(), HINT_VALUE)),
    }
}

fn pair(value: &Value<'_>) -> Result<(ForeignValue, ForeignValue), Problem> {
    match value {
        Value::Sequence(values) if values.len() == 2 => Ok((held(&values[0])?, held(&values[1])?)),
        _ => Err(("the value of a :cas is no pair".to_owned(), "a :cas is such as :cas [1 2]: from 1 to 2")),
    }
}
