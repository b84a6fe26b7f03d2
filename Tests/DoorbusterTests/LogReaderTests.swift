import Stock
import Testing

@testable import Doorbuster

/// What a log's follower asks of the server.
@Suite("A log's reader") struct LogReaderTests {
  private let servers = CoreServers()
  private let bucket: BucketID
  private let epoch: Int64

  /// A log of ten events: the creation, and nine purchases.
  init() async throws {
    let sku = try SKU("X")
    bucket = BucketID(sku: sku, index: 0)
    try await servers.create(bucket, quantity: 100, terms: SaleTerms(), frozen: false)
    for index in 1...9 {
      let purchase = try Purchase(sku: sku, user: UserID("u"), token: Token("t\(index)"), quantity: 1)
      _ = try await servers.deduct(purchase, from: bucket, holdMs: nil, before: .now + .seconds(60))
    }
    epoch = try await servers.info(bucket).epoch
    servers.resetCounts()
  }

  private func position(_ sequence: Int64) -> LogPosition { LogPosition(epoch: epoch, sequence: sequence) }

  @Test("What was read and is not in the database yet is not asked for again")
  func keeps() async throws {
    var reader = LogReader(bucket: bucket, stock: servers, eventsMax: 4)
    #expect(try await reader.read(after: position(0)).map(\.sequence) == [1, 2, 3, 4])
    #expect(servers.count(.log) == 1)
    // The database has stopped before the third.
    #expect(try await reader.read(after: position(2)).map(\.sequence) == [3, 4, 5, 6])
    #expect(servers.count(.log) == 2)
    reader = await reader.readingAhead()
    #expect(servers.count(.log) == 3)
    #expect(try await reader.read(after: position(6)).map(\.sequence) == [7, 8, 9, 10])
    #expect(servers.count(.log) == 3)
    #expect(try await reader.read(after: position(10)).isEmpty)
    #expect(servers.count(.log) == 4)
    reader = await reader.readingAhead()
    #expect(servers.count(.log) == 4, "at the log's end it does not pay")
  }

  @Test("Another worker's position, before or behind what was read, is read from", arguments: [1, 9] as [Int64])
  func jumps(to sequence: Int64) async throws {
    var reader = LogReader(bucket: bucket, stock: servers, eventsMax: 4)
    _ = try await reader.read(after: position(3))
    let expected = Array((sequence + 1...10).prefix(4))
    #expect(try await reader.read(after: position(sequence)).map(\.sequence) == expected)
  }

  @Test("After a failure, and in another epoch, nothing that was read counts")
  func forgets() async throws {
    var reader = LogReader(bucket: bucket, stock: servers, eventsMax: 4)
    _ = try await reader.read(after: position(0))
    servers.onCommand { command, _ in command == .log ? .refused : nil }
    await #expect(throws: Sample.stockGone) { _ = try await reader.read(after: position(2)) }
    servers.onCommand { _, _ in nil }
    #expect(try await reader.read(after: position(2)).map(\.sequence) == [3, 4, 5, 6])
    #expect(servers.count(.log) == 2)
    let other = LogPosition(epoch: epoch + 1, sequence: 3)
    await #expect(throws: StockError.self) { _ = try await reader.read(after: other) }
  }
}
