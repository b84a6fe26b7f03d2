import Doorbuster
import Orders
import Stock

/// A sale's status as people and programs read it.
struct SaleView: Encodable {
  struct Bucket: Encodable {
    var bucket: Int
    var created: Int64?
    var added: Int64?
    var available: Int64?
    var held: Int64?
    var sold: Int64?
    var cancelled: Int64?
    var epoch: Int64?
    var logLast: Int64?
    /// How far the database has followed the log.
    var followed: Int64?
    var bytes: Int64?
    var problem: String?
    var server: String?
    /// Why it is frozen; absent while it is not.
    var frozen: String?
    var transferredIn: Int64?
    var transferredOut: Int64?
    /// Halves of transfers that are open.
    var transfers: [OpenHalf]
  }

  struct OpenHalf: Encodable {
    /// The name, with unprintable bytes as `\xNN`.
    var transfer: String
    var direction: String
    var peer: Int
    var quantity: Int64
    var ageMs: Int64
  }

  struct Database: Encodable {
    var stock: Int64
    var orders: [String: Int64]
    var units: [String: Int64]
    var restocked: Int64
  }

  /// Of the whole topic, all sales together.
  struct Messages: Encodable {
    var half: Int
    var unacknowledged: Int
    var parked: Int
    var dead: Int
    var stored: Int
  }

  var sku: String
  var path: String
  var stock: Int64
  var limit: Int64
  var opens: Int64
  var closes: Int64
  /// Nothing is on its way.
  var settled: Bool
  var buckets: [Bucket]
  var database: Database
  var messages: Messages

  init(_ status: SaleStatus) {
    sku = status.sale.sku.text
    path = status.sale.path.rawValue
    stock = status.sale.stock
    limit = status.sale.terms.limit
    opens = status.sale.terms.opensMs
    closes = status.sale.terms.closesMs
    settled = status.isSettled
    buckets = status.buckets.map(Bucket.init)
    func byState(_ counts: [OrderState: Int64]) -> [String: Int64] {
      Dictionary(uniqueKeysWithValues: OrderState.allCases.map { ($0.rawValue, counts[$0] ?? 0) })
    }
    database = Database(
      stock: status.totals.stock,
      orders: byState(status.totals.orders),
      units: byState(status.totals.units),
      restocked: status.totals.restocked
    )
    messages = Messages(
      half: status.messages.half,
      unacknowledged: status.messages.unacknowledged,
      parked: status.messages.parked,
      dead: status.messages.dead,
      stored: status.messages.stored
    )
  }

  func print(json: Bool) throws {
    if json { return try Output.json(self) }
    for line in lines(columns: Output.columns) { Output.line(line) }
  }

  /// What people read.
  /// - Parameter columns: the width of their terminal; nil where there is none, and lines may be of any length.
  func lines(columns: Int?) -> [String] {
    var lines: [String] = []
    let limits = [
      limit == 0 ? nil : "limit \(limit)", opens == 0 ? nil : "opens \(opens)", closes == 0 ? nil : "closes \(closes)",
    ]
    lines.append("\(sku), \(path), put on sale with \(stock)" + limits.compactMap { $0 }.map { ", \($0)" }.joined())
    lines += bucketTable(columns: columns)
    lines += buckets.compactMap { bucket in bucket.problem.map { "bucket \(bucket.bucket): \($0)" } }
    lines.append("database")
    lines += Output.rows(
      [("stock", String(database.stock)), ("restocked", String(database.restocked))]
        + OrderState.allCases.map { state in
          (
            "orders \(state.rawValue)",
            "\(database.orders[state.rawValue] ?? 0) of \(database.units[state.rawValue] ?? 0) units"
          )
        }
    )
    lines.append("messages, of all sales")
    lines += Output.rows([
      ("half", String(messages.half)), ("unacknowledged", String(messages.unacknowledged)),
      ("parked", String(messages.parked)), ("dead", String(messages.dead)),
    ])
    lines.append(settled ? "Settled: nothing is on its way." : "Not settled: messages or log events are on their way.")
    return columns.map { width in lines.map { String($0.prefix(width)) } } ?? lines
  }

  private static func text(_ number: Int64?) -> String { number.map(String.init) ?? "-" }
}

extension SaleView.Bucket {
  init(_ status: SaleStatus.Bucket) {
    bucket = status.index
    created = status.info?.created
    added = status.info?.added
    available = status.info?.available
    held = status.info?.held
    sold = status.info?.sold
    cancelled = status.info?.cancelled
    epoch = status.info?.epoch
    logLast = status.info?.logLast
    followed = status.followed?.sequence
    bytes = status.info?.bytes
    problem = status.problem
    server = status.server
    frozen = status.info?.frozen?.rawValue
    transferredIn = status.info?.transferredIn
    transferredOut = status.info?.transferredOut
    transfers = status.transfers.map { half in
      SaleView.OpenHalf(
        transfer: half.transfer.name.description,
        direction: half.transfer.direction.rawValue.lowercased(),
        peer: half.transfer.peer,
        quantity: half.transfer.quantity,
        ageMs: half.ageMs
      )
    }
  }
}
