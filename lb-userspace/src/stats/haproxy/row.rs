//! A row of the table.

use super::{Column, Kind, Value};

/// What there is to know of a frontend, a backend or a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which of them.
    pub kind: Kind,
    /// The number of the frontend or backend.
    pub iid: u32,
    /// The number of the server in its backend, from 1 on; 0 for what is none.
    pub sid: u32,
    values: Vec<Option<Value>>,
}

impl Row {
    /// A row with nothing but its names and numbers.
    #[must_use]
    pub fn new(kind: Kind, (proxy, iid): (&str, u32), (service, sid): (&str, u32)) -> Self {
        let mut row = Self { kind, iid, sid, values: vec![None; Column::ALL.len()] };
        row.set(Column::Pxname, proxy.into());
        row.set(Column::Svname, service.into());
        // HAProxy had several processes once; this is the number of the only one.
        row.u32s(&[(Column::Pid, 1), (Column::Iid, iid), (Column::Sid, sid), (Column::Type, kind.number())]);
        row.set(Column::Mode, "tcp".into());
        row
    }

    /// A value, if the row has one there.
    #[must_use]
    pub fn get(&self, column: Column) -> Option<&Value> {
        self.values[column as usize].as_ref()
    }

    /// All values that the row has, in the order of the columns.
    pub fn values(&self) -> impl Iterator<Item = (Column, &Value)> {
        let columns = Column::ALL.iter().copied();
        columns.filter_map(|column| Some((column, self.get(column)?)))
    }

    /// Sets a value.
    pub fn set(&mut self, column: Column, value: Value) {
        self.values[column as usize] = Some(value);
    }

    /// Sets values of 32 bits; larger ones are as large as fits.
    pub fn u32s(&mut self, values: &[(Column, u32)]) {
        for (column, value) in values {
            self.set(*column, Value::U32(*value));
        }
    }

    /// Sets values of 64 bits.
    pub fn u64s(&mut self, values: &[(Column, u64)]) {
        for (column, value) in values {
            self.set(*column, Value::U64(*value));
        }
    }
}
