//! What is to be sent, worked out from the file before anything is sent: pure, and the same every time.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use chrono::NaiveDateTime;
use csv::StringRecord;

use super::purchases::{Key, Portion, Purchases};
use super::rejects::{Reason, Reject};
use super::retail::{self, Kind, Line, Price};

/// Everything that an import sends.
#[derive(Debug, Default)]
pub struct Plan {
    /// Lines in the file, the header not counted.
    pub lines: u64,
    /// Every customer that the file names.
    pub users: Vec<User>,
    /// Every product that was sold at a valid price.
    pub products: Vec<Product>,
    /// Every invoice with a line that can be taken.
    pub orders: Vec<Order>,
    /// Every credit note's part that falls to one order.
    pub returns: Vec<Return>,
    /// The lines that can't be taken.
    pub rejects: Vec<Reject>,
}

/// A customer.
#[derive(Debug)]
pub struct User {
    /// The customer's number.
    pub customer: String,
    /// When the file names them first.
    pub since: NaiveDateTime,
}

/// A product.
#[derive(Debug)]
pub struct Product {
    /// The stock code in upper case: codes that differ only by case are one product.
    pub sku: String,
    /// The description that most of its sales have.
    pub name: String,
    /// The first price at which it was sold, in pence: its list price.
    pub price: u64,
    /// When it was first sold.
    pub since: NaiveDateTime,
}

/// An invoice.
#[derive(Debug)]
pub struct Order {
    /// The invoice's number.
    pub invoice: String,
    /// The first date that stands on its lines: 34 invoices have two, a minute apart.
    pub at: NaiveDateTime,
    /// The customer, as an index into the users; none is a guest.
    pub user: Option<usize>,
    /// Its lines; their numbers count from 1.
    pub lines: Vec<OrderLine>,
    /// How many returns give back something of it.
    pub returns: u64,
}

/// A line of an invoice.
#[derive(Debug)]
pub struct OrderLine {
    /// Its line number in the file.
    pub source: u64,
    /// The product, as an index into the products.
    pub product: usize,
    /// Pieces, at least one.
    pub quantity: u32,
    /// The price of one, in pence.
    pub price: u64,
}

/// The part of a credit note that falls to one order.
#[derive(Debug)]
pub struct Return {
    /// The credit note's number.
    pub invoice: String,
    /// The credit note's first date.
    pub at: NaiveDateTime,
    /// The order, as an index into the orders.
    pub order: usize,
    /// Line numbers of the order with the pieces given back.
    pub lines: Vec<(u32, u32)>,
    /// The line numbers in the file that it comes from.
    pub sources: Vec<u64>,
}

impl Plan {
    /// Reads the whole file and works out what to send.
    pub fn read(file: &Path) -> Result<Self> {
        let mut reader = retail::open(file)?;
        let mut planner = Planner::default();
        let mut record = StringRecord::new();
        let explain = || format!("can't read {}", file.display());
        while reader.read_record(&mut record).with_context(explain)? {
            let number = record.position().map_or(0, csv::Position::line);
            planner.line(number, &record).with_context(explain)?;
        }
        Ok(planner.finish())
    }
}

#[derive(Default)]
struct Planner {
    plan: Plan,
    clock: NaiveDateTime,
    users: HashMap<String, usize>,
    products: HashMap<String, usize>,
    /// How often each product was sold under each description; parallel to the products.
    descriptions: Vec<HashMap<String, u32>>,
    /// The first date of each invoice, credit notes too.
    dates: HashMap<String, NaiveDateTime>,
    orders: HashMap<String, usize>,
    returns: HashMap<(String, usize), usize>,
    purchases: Purchases,
}

impl Planner {
    fn line(&mut self, number: u64, record: &StringRecord) -> Result<()> {
        self.plan.lines += 1;
        let taken = match Line::read(record) {
            Ok(line) if line.at < self.clock => {
                bail!("line {number} is dated before the line above it; sort the file by InvoiceDate first")
            }
            Ok(line) => self.take(number, line),
            Err(refused) => Err(refused),
        };
        if let Err((reason, detail)) = taken {
            let columns = [0, 1, 3, 5].map(|index| record.get(index).unwrap_or_default().to_owned());
            self.plan.rejects.push(Reject { line: number, columns, reason, detail });
        }
        Ok(())
    }

    fn take(&mut self, number: u64, line: Line<'_>) -> Result<(), (Reason, String)> {
        self.clock = line.at;
        let at = *self.dates.entry(line.invoice.to_owned()).or_insert(line.at);
        let user = line.customer.map(|customer| self.user(customer, at));
        let refuse = |reason| Err((reason, String::new()));
        if line.kind == Kind::Adjustment {
            return refuse(Reason::Adjustment);
        }
        let price = match line.price {
            Price::Pence(pence) => pence,
            Price::NotPositive => return refuse(Reason::NonPositivePrice),
            Price::FractionOfAPenny => return refuse(Reason::TooManyDecimals),
        };
        let pieces = u32::try_from(line.quantity.unsigned_abs())
            .map_err(|_| (Reason::Malformed, "the quantity is too large".to_owned()))?;
        match line.kind {
            Kind::Sale if line.quantity <= 0 => refuse(Reason::NonPositiveQuantity),
            Kind::Credit if line.quantity >= 0 => refuse(Reason::NonNegativeCredit),
            Kind::Credit => match user {
                Some(user) => self.credit(number, line, at, user, price, pieces),
                None => refuse(Reason::ReturnWithoutCustomer),
            },
            Kind::Sale | Kind::Adjustment => {
                let product = self.product(line, at, price);
                let sold = OrderLine { source: number, product, quantity: pieces, price };
                self.sale(line.invoice, at, user, sold);
                Ok(())
            }
        }
    }

    fn user(&mut self, customer: &str, since: NaiveDateTime) -> usize {
        if let Some(index) = self.users.get(customer) {
            return *index;
        }
        let index = self.plan.users.len();
        self.plan.users.push(User { customer: customer.to_owned(), since });
        self.users.insert(customer.to_owned(), index);
        index
    }

    fn product(&mut self, line: Line<'_>, since: NaiveDateTime, price: u64) -> usize {
        let sku = line.code.to_uppercase();
        let index = *self.products.entry(sku).or_insert_with_key(|sku| {
            self.plan.products.push(Product { sku: sku.clone(), name: sku.clone(), price, since });
            self.descriptions.push(HashMap::new());
            self.descriptions.len() - 1
        });
        if !line.description.is_empty() {
            match self.descriptions[index].get_mut(line.description) {
                Some(count) => *count += 1,
                None => drop(self.descriptions[index].insert(line.description.to_owned(), 1)),
            }
        }
        index
    }

    fn sale(&mut self, invoice: &str, at: NaiveDateTime, user: Option<usize>, sold: OrderLine) {
        let order = *self.orders.entry(invoice.to_owned()).or_insert_with(|| {
            let invoice = invoice.to_owned();
            self.plan.orders.push(Order { invoice, at, user, lines: Vec::new(), returns: 0 });
            self.plan.orders.len() - 1
        });
        let lines = &mut self.plan.orders[order].lines;
        if let (Some(user), Ok(line)) = (user, u32::try_from(lines.len() + 1)) {
            let key = Key { user, product: sold.product, price: sold.price };
            self.purchases.bought(key, Portion { order, line, quantity: sold.quantity });
        }
        lines.push(sold);
    }

    fn credit(
        &mut self,
        number: u64,
        line: Line<'_>,
        at: NaiveDateTime,
        user: usize,
        price: u64,
        pieces: u32,
    ) -> Result<(), (Reason, String)> {
        let Some(&product) = self.products.get(&line.code.to_uppercase()) else {
            return Err((Reason::NoEarlierPurchase, String::new()));
        };
        for portion in self.purchases.give_back(Key { user, product, price }, pieces)? {
            let order = portion.order;
            let index = *self.returns.entry((line.invoice.to_owned(), order)).or_insert_with(|| {
                let invoice = line.invoice.to_owned();
                self.plan.returns.push(Return { invoice, at, order, lines: Vec::new(), sources: Vec::new() });
                self.plan.orders[order].returns += 1;
                self.plan.returns.len() - 1
            });
            let part = &mut self.plan.returns[index];
            match part.lines.iter_mut().find(|(line, _)| *line == portion.line) {
                Some((_, quantity)) => *quantity += portion.quantity,
                None => part.lines.push((portion.line, portion.quantity)),
            }
            part.sources.push(number);
        }
        Ok(())
    }

    fn finish(mut self) -> Plan {
        for (product, names) in self.plan.products.iter_mut().zip(self.descriptions) {
            // The name decides between equal counts, so that the same file gives the same plan.
            if let Some((name, _)) = names.into_iter().max_by(|a, b| (a.1, &b.0).cmp(&(b.1, &a.0))) {
                product.name = name;
            }
        }
        self.plan
    }
}

#[cfg(test)]
mod tests;
