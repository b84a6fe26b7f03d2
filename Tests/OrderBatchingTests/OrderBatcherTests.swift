import Dispatch
import OrderBatching
import Orders
import Synchronization
import Testing

/// A database of numbers: it notes its batches, refuses those with a negative number, and fails while it is told to.
private final class Book: Sendable {
  struct State {
    var batches: [[Int]] = []
    var underWay = 0
    var underWayMax = 0
    var isFailing = false
  }

  let state = Mutex(State())
  private let queue = DispatchQueue(label: "book", attributes: .concurrent)
  private let isOpen: Mutex<Bool>
  let gate = DispatchSemaphore(value: 0)

  /// - Parameter isOpen: whether batches are written without ``gate``.
  init(isOpen: Bool = true) { self.isOpen = Mutex(isOpen) }

  func open() {
    isOpen.withLock { $0 = true }
    gate.signal()
  }

  func batcher(_ limits: BatchLimits, isClosed: Bool = false) -> OrderBatcher<Int, String, Int> {
    OrderBatcher(
      limits,
      dispatch: { job in
        self.queue.async {
          job(isClosed ? .failure(OrderStoreError(.unavailable, "closed")) : .success(7))
        }
      },
      write: { items, _ throws(OrderStoreError) in try self.write(Array(items)) },
      refuse: { item, error in "refused \(item): \(error.message)" }
    )
  }

  private func write(_ items: [Int]) throws(OrderStoreError) -> [String] {
    let isFailing = state.withLock { state in
      state.batches.append(items)
      state.underWay += 1
      state.underWayMax = max(state.underWayMax, state.underWay)
      return state.isFailing
    }
    if !isOpen.withLock({ $0 }) { gate.wait() }
    state.withLock { $0.underWay -= 1 }
    if isFailing { throw OrderStoreError(.unavailable, "down") }
    if items.contains(where: { $0 < 0 }) { throw OrderStoreError(.refused, "negative") }
    return items.map { "wrote \($0)" }
  }
}

@Suite("Gathering what concurrent callers write")
struct OrderBatcherTests {
  @Test("A lone item is written at once, alone")
  func alone() async throws {
    let book = Book()
    let batcher = book.batcher(BatchLimits(batchMax: 100, gatherMaxMs: 60_000))
    let start = ContinuousClock.now
    for item in 0..<3 { try await check(batcher, item) }
    #expect(start.duration(to: .now) < .seconds(30))
    #expect(book.state.withLock { $0.batches } == [[0], [1], [2]])
  }

  @Test("What comes while a batch is written is the next batch")
  func next() async throws {
    let book = Book(isOpen: false)
    let batcher = book.batcher(BatchLimits(batchMax: 100))
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await check(batcher, 0) }
      try await eventually { book.state.withLock { $0.batches.count == 1 } }
      for item in 1...50 { group.addTask { try await check(batcher, item) } }
      try await eventually { batcher.waiting == 50 }
      book.open()
      try await group.waitForAll()
    }
    let batches = book.state.withLock { $0.batches }
    #expect(batches.map(\.count) == [1, 50])
    #expect(book.state.withLock { $0.underWayMax } == 1)
  }

  @Test("No batch is larger than its bound but for one call's own items, which are split")
  func bound() async throws {
    let book = Book()
    let batcher = book.batcher(BatchLimits(batchMax: 4))
    let items = Array(0..<10)
    #expect(try await batcher.submit(items) == items.map { "wrote \($0)" })
    #expect(book.state.withLock { $0.batches.map(\.count) } == [4, 4, 2])
    #expect(try await batcher.submit([]) == [])
  }

  @Test("However many callers there are, few writers are under way", arguments: [1, 3])
  func writers(max: Int) async throws {
    let book = Book()
    let batcher = book.batcher(BatchLimits(batchMax: 1, writersMax: max))
    try await withThrowingTaskGroup(of: Void.self) { group in
      for item in 0..<200 { group.addTask { try await check(batcher, item) } }
      try await group.waitForAll()
    }
    #expect(book.state.withLock { $0.underWayMax } <= max)
    #expect(book.state.withLock { $0.batches.count } == 200)
  }

  @Test("A batch that is refused is halved until the culprits stand alone, and their neighbours are written")
  func bisection() async throws {
    let book = Book()
    let batcher = book.batcher(BatchLimits(batchMax: 1_000))
    var items = Array(0..<512)
    for bad in [0, 300, 511] { items[bad] = -1 }
    let outcomes = try await batcher.submit(items)
    for (item, outcome) in zip(items, outcomes) {
      #expect(outcome == (item < 0 ? "refused -1: negative" : "wrote \(item)"))
    }
    // Each culprit costs two writes for each halving.
    #expect(book.state.withLock { $0.batches.count } <= 3 * 2 * 9 + 1)
  }

  @Test("A fault of the database fails all that were in the batch, and the next batch is tried anew")
  func fault() async throws {
    let book = Book()
    let batcher = book.batcher(BatchLimits(batchMax: 100))
    book.state.withLock { $0.isFailing = true }
    await #expect(throws: OrderStoreError.self) { try await batcher.submit([1, -2]) }
    #expect(book.state.withLock { $0.batches } == [[1, -2]])
    book.state.withLock { $0.isFailing = false }
    #expect(try await batcher.submit([1]) == ["wrote 1"])
  }

  @Test("Where there is no access everybody hears of it, and nobody waits")
  func closed() async throws {
    let book = Book()
    let batcher = book.batcher(BatchLimits(batchMax: 1), isClosed: true)
    await withTaskGroup(of: Void.self) { group in
      for item in 0..<500 {
        group.addTask {
          await #expect(throws: OrderStoreError(.unavailable, "closed")) { try await batcher.submit([item]) }
        }
      }
    }
    #expect(book.state.withLock { $0.batches } == [])
  }

  @Test("Callers in step with each other lose no answer, whatever the gathering meets")
  func inStep() async throws {
    let book = Book()
    let batcher = book.batcher(BatchLimits(batchMax: 16, gatherMaxMs: 0.2))
    try await withThrowingTaskGroup(of: Void.self) { group in
      for caller in 0..<40 {
        group.addTask {
          for round in 0..<50 {
            let item = caller * 1_000 + round
            try await check(batcher, item)
          }
        }
      }
      try await group.waitForAll()
    }
    let batches = book.state.withLock { $0.batches }
    #expect(batches.joined().count == 2_000)
    #expect(batches.allSatisfy { $0.count <= 16 })
    #expect(batcher.waiting == 0)
  }
}

private func check(_ batcher: OrderBatcher<Int, String, Int>, _ item: Int) async throws {
  let outcomes = try await batcher.submit([item])
  #expect(outcomes == ["wrote \(item)"])
}

private func eventually(_ condition: () -> Bool) async throws {
  let end = ContinuousClock.now + .seconds(60)
  while !condition() {
    guard ContinuousClock.now < end else {
      Issue.record("waited in vain")
      return
    }
    try await Task.sleep(for: .milliseconds(1))
  }
}
