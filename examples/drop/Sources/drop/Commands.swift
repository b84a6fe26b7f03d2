import Stock
import StockClient

/// The module's commands, typed: a bucket of three units, two for each buyer at most.
func sellByCommands(_ stock: StockClient, run: String) async throws {
  let sku = try SKU("cap-\(run)")
  let bucket = BucketID(sku: sku, index: 0)
  try await stock.create(bucket, quantity: 3, terms: SaleTerms(limit: 2))

  func buy(_ quantity: Int64, by user: String, token: String) async throws -> DeductOutcome {
    let purchase = try Purchase(sku: sku, user: UserID(user), token: Token(token), quantity: quantity)
    // A reply that is lost on the way is asked for again until the deadline. After it nothing is sent.
    return try await stock.deduct(purchase, from: bucket, before: .now + .seconds(3))
  }

  let first = try await buy(2, by: "ann", token: "ann-1")
  try check(first == .accepted(remaining: 1, sequence: 2, isRepeat: false), "deduct takes two units", found: first)

  // The token names the attempt, so a second click, or a retry after a crash, takes nothing.
  let again = try await buy(2, by: "ann", token: "ann-1")
  try check(
    again == .accepted(remaining: 1, sequence: 2, isRepeat: true),
    "the same token hears its first outcome",
    found: again
  )

  let third = try await buy(1, by: "ann", token: "ann-2")
  try check(third == .refused(.limit, remaining: 1), "a third unit is beyond the limit", found: third)

  let short = try await buy(2, by: "bob", token: "bob-1")
  try check(short == .refused(.soldOut, remaining: 1), "two units of one are sold out", found: short)

  let cancelled = try await stock.cancel(Token("ann-1"), in: bucket, fence: false, offSale: false)
  try check(cancelled == .cancelled, "cancel gives the units back", found: cancelled)

  // A refused token is not remembered: the same attempt may succeed once there is stock.
  let later = try await buy(2, by: "bob", token: "bob-1")
  try check(later == .accepted(remaining: 1, sequence: 4, isRepeat: false), "they are sold to bob", found: later)

  let info = try await stock.info(bucket)
  try check(
    info.created + info.added == info.available + info.sold && info.sold == 2 && info.cancelled == 2,
    "info shows books that add up",
    found: info
  )

  let start = LogPosition(epoch: info.epoch, sequence: 0)
  let actions = try await stock.log(bucket, after: start, count: 100).map(\.action)
  try check(
    actions == [.create, .deduct, .cancel, .deduct],
    "log has each change once, and no refusal",
    found: actions
  )
}
