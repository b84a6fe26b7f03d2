import Orders
import Stock
import Testing

@testable import Doorbuster

/// What is decided of books, from values alone.
@Suite("The rules of comparing")
struct BooksRulesTests {
  private func info(
    created: Int64 = 10,
    added: Int64 = 0,
    sold: Int64 = 0,
    held: Int64 = 0,
    cancelled: Int64 = 0,
    in transferredIn: Int64 = 0,
    out transferredOut: Int64 = 0
  ) -> BucketInfo {
    BucketInfo(
      created: created,
      added: added,
      available: created + added + transferredIn - transferredOut - sold - held,
      held: held,
      sold: sold,
      cancelled: cancelled,
      transferredIn: transferredIn,
      transferredOut: transferredOut,
      buckets: 2,
      limit: 0,
      opensMs: 0,
      closesMs: 0,
      frozen: nil,
      epoch: 1,
      tokens: 0,
      transfers: 0,
      logFirst: 1,
      logLast: 9,
      bytes: 0
    )
  }

  private func record(_ state: PurchaseState, _ quantity: Int64?, at sequence: Int64) throws -> PurchaseRecord {
    PurchaseRecord(
      token: try Token("t\(sequence)"),
      user: nil,
      quantity: quantity,
      state: state,
      sequence: sequence,
      timestampMs: nil
    )
  }

  // MARK: Tokens

  @Test("An order and its purchase are in the same state, or they differ; rejected is cancelled to a bucket")
  func states() {
    let agreeing: Set<[String]> = [
      ["held", "held"], ["sold", "sold"], ["cancelled", "cancelled"], ["rejected", "cancelled"],
    ]
    for order in OrderState.allCases {
      for purchase in PurchaseState.allCases {
        let isAgreed = agreeing.contains([order.rawValue, purchase.rawValue])
        #expect(TokenComparison.agree(order, purchase) == isAgreed, "\(order), \(purchase)")
      }
    }
  }

  @Test("What a bucket no longer keeps is no difference")
  func forgotten() throws {
    let order = StoredOrder(order: Sample.order(try Sample.purchase(quantity: 2)), state: .sold)
    #expect(TokenComparison.differences(order, try record(.sold, nil, at: 1)).isEmpty)
    #expect(TokenComparison.differences(order, try record(.cancelled, 3, at: 1)) == [.quantity, .state])
  }

  // MARK: Sums

  @Test("A bucket whose purchases all have their orders leaves nothing, whatever comes after the cut")
  func nothingMissing() throws {
    let beyond = [try record(.sold, 4, at: 7), try record(.cancelled, 1, at: 8)]
    var sums = BucketSums(cut: 6, info: info(sold: 6, cancelled: 2), beyond: beyond)
    sums.count(try record(.sold, 2, at: 2))
    sums.count(try record(.cancelled, 1, at: 3))
    // Counted beyond the cut, it is none of the sums'.
    sums.count(try record(.sold, 4, at: 7))
    // A fence took nothing.
    sums.count(try record(.cancelled, nil, at: 4))
    #expect(sums.rest(info(sold: 6, cancelled: 2)) == .nothing)
  }

  @Test("Units that no order has are missing, unless they may just have been cancelled")
  func missing() throws {
    var sums = BucketSums(cut: 6, info: info(sold: 5, cancelled: 3), beyond: [])
    sums.count(try record(.sold, 2, at: 2))
    #expect(sums.rest(info(sold: 5, cancelled: 3)) == .missing(3))
    #expect(sums.rest(info(sold: 4, cancelled: 4)) == .missing(2))
    #expect(sums.rest(info(sold: 2, cancelled: 6)) == .open(3))
  }

  @Test("Cancelled purchases need no order")
  func cancelledWithoutOrder() throws {
    var sums = BucketSums(cut: 6, info: info(sold: 2, cancelled: 3), beyond: [])
    sums.count(try record(.sold, 2, at: 2))
    #expect(sums.rest(info(sold: 2, cancelled: 3)) == .nothing)
  }

  // MARK: Transfers

  private func listed(
    _ name: String,
    _ direction: Transfer.Direction,
    peer: Int,
    _ quantity: Int64 = 3,
    at ms: Int64 = 0
  ) throws -> ListedTransfer {
    ListedTransfer(
      transfer: Transfer(
        name: try TransferName(name),
        direction: direction,
        peer: peer,
        quantity: quantity
      ),
      timestampMs: ms
    )
  }

  @Test("Halves are put together by name, source and target")
  func halves() throws {
    var book = TransferBook()
    book.add(try listed("a", .out, peer: 1), of: 0)
    book.add(try listed("a", .in, peer: 0), of: 1)
    book.add(try listed("b", .out, peer: 1, at: 2), of: 0)
    book.add(try listed("b", .out, peer: 2, at: 1), of: 0)
    book.add(try listed("c", .in, peer: 2), of: 0)
    book.add(try listed("d", .out, peer: 1, 5), of: 0)
    book.add(try listed("d", .in, peer: 0, 4), of: 1)
    #expect(book.open.map { [$0.source, $0.target] } == [[0, 2], [0, 1]])
    #expect(book.open.map(\.name.description) == ["b", "b"])
    #expect(book.sourceless.map { [$0.source, $0.target] } == [[2, 0]])
    #expect(book.unequal.map { [$0.out.quantity, $0.in.quantity] } == [[5, 4]])
    #expect(book.open[0].half(.in) == Transfer(name: try TransferName("b"), direction: .in, peer: 0, quantity: 3))
  }

  // MARK: Units on sale

  private func sale(_ stock: Int64) throws -> Sale {
    Sale(
      sku: try Sample.sku(),
      stock: stock,
      terms: SaleTerms(buckets: 2),
      path: .combined,
      createdAtMs: 0
    )
  }

  @Test("What was put on sale is in the buckets, in open transfers and in the database, the same")
  func unitsBalance() throws {
    var book = TransferBook()
    book.add(try listed("a", .out, peer: 1, 4), of: 0)
    let restocks = [
      StoredRestock(token: try Token("r"), quantity: 3), StoredRestock(token: try Token("s"), quantity: -5),
    ]
    // Shares of 3 are 2 and 1, of -5 they are -3 and -2.
    let infos = [info(added: -1, sold: 2, out: 4), info(added: -1, cancelled: 3)]
    let units = UnitsOnSale(try sale(20), infos: infos, transfers: book, restocks: restocks)
    #expect(units.inDatabase == 18 && units.inBuckets == 18 && units.difference == 0)
    #expect(units.corrections().isEmpty)
  }

  @Test("Corrections go to the buckets that deviate, in the direction that evens the sums out")
  func corrections() throws {
    let lacking = UnitsOnSale(
      try sale(20),
      infos: [info(added: -5), info(added: 2)],
      transfers: TransferBook(),
      restocks: []
    )
    #expect(lacking.difference == -3)
    #expect(lacking.corrections().map { [Int64($0.bucket), $0.units] } == [[0, 3]])
    let spare = UnitsOnSale(
      try sale(20),
      infos: [info(added: 1), info(added: 2)],
      transfers: TransferBook(),
      restocks: []
    )
    #expect(spare.corrections().map { [Int64($0.bucket), $0.units] } == [[1, -2], [0, -1]])
    let unexplained = UnitsOnSale(
      try sale(20),
      infos: [info(in: 2), info()],
      transfers: TransferBook(),
      restocks: []
    )
    #expect(unexplained.corrections().map { [Int64($0.bucket), $0.units] } == [[0, -2]])
    #expect(unexplained.corrections(unexplainedIn: 1).map { [Int64($0.bucket), $0.units] } == [[1, -2]])
  }

  @Test("A deposit whose withdrawal is lost is no surplus: it is mended as what it is")
  func lostWithdrawal() throws {
    var book = TransferBook()
    book.add(try listed("a", .in, peer: 0, 4), of: 1)
    let units = UnitsOnSale(try sale(20), infos: [info(), info(in: 4)], transfers: book, restocks: [])
    #expect(units.difference == 0)
  }
}
