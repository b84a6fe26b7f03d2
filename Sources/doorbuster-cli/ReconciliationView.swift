import Doorbuster
import Orders
import Stock

/// A reconciliation as people and programs read it.
struct ReconciliationView: Encodable {
  struct Finding: Encodable {
    /// purchaseWithoutOrder, purchaseOfAnotherOrder, orderWithoutPurchase, orderDiffers, ordersMissing, databaseStock,
    /// unitsOnSale, restockUndecided, termsDiffer, transferHalf, transferDiffers.
    var kind: String
    var bucket: Int?
    var token: String?
    var user: String?
    var quantity: Int64?
    /// In words: what is here, and what there.
    var detail: String
    /// database, bucket or byHand.
    var repair: String
    /// reported, repaired, rejected or left.
    var outcome: String
    /// Why it is left.
    var reason: String?
  }

  var sku: String
  /// Nothing differs, or nothing any more.
  var clean: Bool
  var repairs: Bool
  var found: Int64
  var remaining: Int64
  var orders: Int64
  var events: Int64
  var eventsOnTheirWay: Int64
  var messagesOnTheirWay: Int64
  var unitsInTransfer: Int64
  var unitsOpen: Int64
  var findings: [Finding]

  init(_ report: Reconciliation, isRepair: Bool) {
    sku = report.sku.text
    clean = report.isClean
    repairs = isRepair
    found = report.found
    remaining = report.remaining
    orders = report.orders
    events = report.events
    eventsOnTheirWay = report.eventsOnTheirWay
    messagesOnTheirWay = report.messagesOnTheirWay
    unitsInTransfer = report.unitsInTransfer
    unitsOpen = report.unitsOpen
    findings = report.findings.map(Finding.init)
  }

  func print(json: Bool) throws {
    if json { return try Output.json(self) }
    if !findings.isEmpty { ColumnTable(findings).print() }
    if found > Int64(findings.count) { Output.line("and \(found - Int64(findings.count)) more") }
    Output.line("\(sku): \(orders) orders and \(events) events of the logs compared")
    let onTheirWay = [
      (eventsOnTheirWay, "events of the logs"), (messagesOnTheirWay, "messages of all sales"),
      (unitsInTransfer, "units in transfer"),
    ]
    .filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
    if !onTheirWay.isEmpty { Output.line("On their way: " + onTheirWay.joined(separator: ", ")) }
    if unitsOpen > 0 {
      Output.line("Cancels meanwhile leave open whether orders of \(unitsOpen) units are there; compare again.")
    }
    Output.line(summary)
  }

  private var summary: String {
    if found == 0 { return "Nothing differs." }
    let findings = found == 1 ? "1 finding" : "\(found) findings"
    if clean { return "\(findings), and all is mended." }
    return repairs
      ? "\(findings); \(remaining) could not be mended." : "\(findings); --repair mends what can be mended."
  }
}

extension ReconciliationView.Finding {
  init(_ finding: BooksFinding) {
    self = Self.described(finding.subject)
    repair = finding.repair.rawValue
    switch finding.outcome {
    case .reported: outcome = "reported"
    case .repaired: outcome = "repaired"
    case .rejected: outcome = "rejected"
    case .left(let why): (outcome, reason) = ("left", why)
    }
  }

  private static func described(_ subject: BooksFinding.Subject) -> Self {
    switch subject {
    case .purchaseWithoutOrder(let record, let bucket):
      Self("purchaseWithoutOrder", bucket, record, "\(record.state.rawValue) in the bucket, no order")
    case .purchaseOfAnotherOrder(let record, let bucket, let order):
      Self(
        "purchaseOfAnotherOrder",
        bucket,
        record,
        "\(record.state.rawValue) in the bucket; the token's order is of bucket \(order.order.bucket)"
      )
    case .orderWithoutPurchase(let order):
      Self("orderWithoutPurchase", order, "\(order.state.rawValue) in the database, no purchase")
    case .orderDiffers(let order, let record, let bucket, let differences):
      Self("orderDiffers", order, differences.map { text($0, order, record, bucket) }.joined(separator: ", "))
    case .ordersMissing(let bucket, let units):
      Self("ordersMissing", bucket, units, "orders missing for \(units) units; tokens no longer listed")
    case .databaseStock(let stock, let byRows):
      Self("databaseStock", nil, nil, "stock \(stock) in the database, \(byRows) by its rows")
    case .unitsOnSale(let inBuckets, let inDatabase):
      Self("unitsOnSale", nil, nil, "\(inBuckets) units on sale in the buckets, \(inDatabase) in the database")
    case .restockUndecided(let token, let quantity):
      Self(restock: token, quantity)
    case .termsDiffer(let bucket, let info, let terms):
      Self(
        "termsDiffer",
        bucket,
        nil,
        "\(text(info.limit, info.opensMs, info.closesMs)); in the database "
          + text(terms.limit, terms.opensMs, terms.closesMs)
      )
    case .transferHalf(let transfer, let bucket):
      Self(
        "transferHalf",
        bucket,
        transfer.quantity,
        transfer.direction == .in
          ? "transfer \(transfer.name) from \(transfer.peer) not deposited"
          : "transfer \(transfer.name) to \(transfer.peer) deposited there, not known here"
      )
    case .transferDiffers(let name, let withdrawn, let deposited, let bucket):
      Self("transferDiffers", bucket, deposited, "transfer \(name): \(withdrawn) withdrawn, \(deposited) deposited")
    }
  }

  private static func text(_ limit: Int64, _ opensMs: Int64, _ closesMs: Int64) -> String {
    "limit \(limit), opens \(opensMs), closes \(closesMs)"
  }

  private static func text(
    _ difference: OrderDifference,
    _ order: StoredOrder,
    _ record: PurchaseRecord,
    _ bucket: Int
  ) -> String {
    let here = order.order
    switch difference {
    case .quantity: return "quantity \(here.purchase.quantity), \(record.quantity ?? 0) in the bucket"
    case .user: return "user \(here.purchase.user), \(record.user?.description ?? "another one") in the bucket"
    case .state: return "state \(order.state.rawValue), \(record.state.rawValue) in the bucket"
    case .bucket: return "bucket \(here.bucket), bought in \(bucket)"
    }
  }

  private init(_ kind: String, _ bucket: Int?, _ record: PurchaseRecord, _ detail: String) {
    self.init(kind, bucket, record.quantity, detail)
    token = record.token.description
    user = record.user?.description
  }

  private init(_ kind: String, _ order: StoredOrder, _ detail: String) {
    self.init(kind, order.order.bucket, order.order.purchase.quantity, detail)
    token = order.order.purchase.token.description
    user = order.order.purchase.user.description
  }

  private init(restock token: Token, _ quantity: Int64) {
    self.init("restockUndecided", nil, quantity, "restock of \(quantity) begun, not decided: repeat it to complete it")
    self.token = token.description
  }

  private init(_ kind: String, _ bucket: Int?, _ quantity: Int64?, _ detail: String) {
    self.init(
      kind: kind,
      bucket: bucket,
      token: nil,
      user: nil,
      quantity: quantity,
      detail: detail,
      repair: "",
      outcome: "",
      reason: nil
    )
  }
}

/// Findings in aligned columns.
private struct ColumnTable {
  private var rows: [[String]] = [["bucket", "token", "finding", "changes", "outcome"]]

  init(_ findings: [ReconciliationView.Finding]) {
    rows += findings.map { finding in
      [
        finding.bucket.map { String($0) } ?? "-", finding.token ?? "-", finding.detail,
        finding.repair == BooksFinding.Direction.byHand.rawValue ? "nothing" : finding.repair,
        finding.reason ?? finding.outcome,
      ]
    }
  }

  func print() {
    let widths = (0..<rows[0].count).map { column in rows.map { $0[column].count }.max() ?? 0 }
    for row in rows {
      let cells = zip(row, widths).map { cell, width in cell + String(repeating: " ", count: width - cell.count) }
      var line = cells.joined(separator: "  ")
      while line.last == " " { line.removeLast() }
      Output.line(line)
    }
  }
}
