import Dispatch
import Orders
import Synchronization

/// How large batches are, and how many are under way.
package struct BatchLimits: Sendable {
  /// Items of one batch; 1 writes each alone. Larger ones make their callers wait longer.
  package var batchMax: Int
  /// Batches under way at a time. A further one begins only once a whole batch waits for it.
  package var writersMax: Int
  /// How long a batch waits for as many items as the last one had.
  package var gatherMaxMs: Double

  package init(batchMax: Int, writersMax: Int = 1, gatherMaxMs: Double = 1) {
    self.batchMax = batchMax
    self.writersMax = writersMax
    self.gatherMaxMs = gatherMaxMs
  }
}

/// Gathers what concurrent callers ask for and has it written in batches, by few writers whatever the load.
///
/// While a batch is written the next gathers. A lone caller is written at once. After a batch of many, the next waits a
/// moment for its callers to come back (until there are as many as before, or ``BatchLimits/gatherMaxMs`` have passed), so
/// that callers in step with each other share one transaction instead of splitting into a large and a tiny one. A
/// batch that the database refuses is bisected, so that one bad item can't fail its neighbours.
///
/// `Access` is what a writer writes with (a connection). It is handed out by `dispatch`, on a thread that may block.
package final class OrderBatcher<Item: Sendable, Outcome: Sendable, Access>: Sendable {
  package typealias Job = @Sendable (Result<Access, OrderStoreError>) -> Void
  private typealias Reply = UnsafeContinuation<Result<[Outcome], OrderStoreError>, Never>

  private struct Call {
    let items: [Item]
    let reply: Reply
  }

  private struct Inbox {
    var calls: [Call] = []
    var items = 0
    var writers = 0
    /// The size of the last batch, how long it took, and when it ended.
    var lastItems = 0
    var lastNanoseconds: UInt64 = 0
    var lastEnd: UInt64 = 0
    /// With that many items the writer that gathers goes on.
    var wanted: Int?
  }

  private let limits: BatchLimits
  private let dispatch: @Sendable (@escaping Job) -> Void
  private let write: @Sendable (ArraySlice<Item>, Access) throws(OrderStoreError) -> [Outcome]
  private let refuse: @Sendable (Item, OrderStoreError) -> Outcome
  private let inbox = Mutex(Inbox())
  private let gathered = DispatchSemaphore(value: 0)

  /// - Parameters:
  ///   - dispatch: runs a job on a thread that may block, with access to the database, or with the reason why there is
  ///     none.
  ///   - write: one transaction: one outcome per item. A `refused` error is the items' own fault; any other fails all
  ///     calls of the batch.
  ///   - refuse: the outcome of an item that is refused even alone.
  package init(
    _ limits: BatchLimits,
    dispatch: @escaping @Sendable (@escaping Job) -> Void,
    write: @escaping @Sendable (ArraySlice<Item>, Access) throws(OrderStoreError) -> [Outcome],
    refuse: @escaping @Sendable (Item, OrderStoreError) -> Outcome
  ) {
    self.limits = limits
    self.dispatch = dispatch
    self.write = write
    self.refuse = refuse
  }

  /// - Throws: a fault of the database. Some of the items may have been written.
  package func submit(_ items: [Item]) async throws(OrderStoreError) -> [Outcome] {
    // Checked continuations cost as much as a tenth of an order's insert.
    let result = await withUnsafeContinuation { (reply: Reply) in
      let (starts, isEnough) = inbox.withLock { inbox in
        inbox.calls.append(Call(items: items, reply: reply))
        inbox.items += items.count
        return (mustStart(&inbox), Self.isEnough(&inbox))
      }
      if isEnough { gathered.signal() }
      if starts { dispatch { [self] access in writeNext(access) } }
    }
    return try result.get()
  }

  /// Items that are in no batch yet.
  package var waiting: Int { inbox.withLock { $0.items } }

  private func mustStart(_ inbox: inout Inbox) -> Bool {
    guard inbox.writers < limits.writersMax else { return false }
    guard inbox.writers == 0 || inbox.items >= limits.batchMax else { return false }
    inbox.writers += 1
    return true
  }

  private static func isEnough(_ inbox: inout Inbox) -> Bool {
    guard let wanted = inbox.wanted, inbox.items >= wanted else { return false }
    inbox.wanted = nil
    return true
  }

  private func writeNext(_ access: Result<Access, OrderStoreError>) {
    let calls: [Call]
    switch access {
    case .success:
      gather()
      calls = takeCalls(itemsMax: limits.batchMax)
    // Whoever waits hears of it at once.
    case .failure: calls = takeCalls(itemsMax: .max)
    }
    let start = DispatchTime.now().uptimeNanoseconds
    let items = calls.flatMap(\.items)
    let results = write(items, access)
    let end = DispatchTime.now().uptimeNanoseconds
    let continues = inbox.withLock { inbox in
      (inbox.lastItems, inbox.lastNanoseconds, inbox.lastEnd) = (items.count, end - start, end)
      if inbox.calls.isEmpty { inbox.writers -= 1 }
      return !inbox.calls.isEmpty
    }
    var place = 0
    for call in calls {
      let next = place + call.items.count
      call.reply.resume(returning: Self.reply(results[place..<next]))
      place = next
    }
    // By way of the queue, so that others who want to write have their turn.
    if continues { dispatch { [self] access in writeNext(access) } }
  }

  /// Waits for the callers of the last batch to come back, as long as that is quick.
  private func gather() {
    let bound: UInt64? = inbox.withLock { inbox in
      let wanted = min(inbox.lastItems, limits.batchMax)
      // A batch that took long is worth a longer wait; one that is long ago says nothing.
      let bound = min(UInt64(limits.gatherMaxMs * 1_000_000), inbox.lastNanoseconds)
      guard wanted > 1, inbox.items < wanted, inbox.wanted == nil else { return nil }
      guard DispatchTime.now().uptimeNanoseconds - inbox.lastEnd < 2 * bound else { return nil }
      inbox.wanted = wanted
      return bound
    }
    guard let bound else { return }
    if gathered.wait(timeout: .now() + .nanoseconds(Int(bound))) == .success { return }
    let isSignalled = inbox.withLock { inbox in
      defer { inbox.wanted = nil }
      return inbox.wanted == nil
    }
    // It came together with the end of the wait, and must not be left for the next one.
    if isSignalled { gathered.wait() }
  }

  /// Whole calls, up to the one with which `itemsMax` is reached.
  private func takeCalls(itemsMax: Int) -> [Call] {
    inbox.withLock { inbox in
      var items = 0
      let end = inbox.calls.firstIndex { call in
        defer { items += call.items.count }
        return items >= itemsMax
      }
      guard let end else {
        inbox.items = 0
        var taken: [Call] = []
        swap(&taken, &inbox.calls)
        return taken
      }
      let taken = Array(inbox.calls[..<end])
      inbox.calls.removeFirst(end)
      inbox.items -= taken.reduce(0) { $0 + $1.items.count }
      return taken
    }
  }

  private static func reply(
    _ results: ArraySlice<Result<Outcome, OrderStoreError>>
  ) -> Result<[Outcome], OrderStoreError> {
    var outcomes: [Outcome] = []
    outcomes.reserveCapacity(results.count)
    for result in results {
      switch result {
      case .success(let outcome): outcomes.append(outcome)
      case .failure(let error): return .failure(error)
      }
    }
    return .success(outcomes)
  }

  private func write(
    _ items: [Item],
    _ access: Result<Access, OrderStoreError>
  ) -> [Result<Outcome, OrderStoreError>] {
    var results: [Result<Outcome, OrderStoreError>] = []
    results.reserveCapacity(items.count)
    switch access {
    case .failure(let error): results.append(contentsOf: repeatElement(.failure(error), count: items.count))
    case .success(let access):
      for start in stride(from: 0, to: items.count, by: limits.batchMax) {
        bisect(items[start..<min(start + limits.batchMax, items.count)], access, to: &results)
      }
    }
    return results
  }

  /// One transaction. Where it is refused, each half is tried alone.
  private func bisect(_ items: ArraySlice<Item>, _ access: Access, to results: inout [Result<Outcome, OrderStoreError>])
  {
    do throws(OrderStoreError) {
      let outcomes = try write(items, access)
      results.append(contentsOf: outcomes.lazy.map { .success($0) })
    } catch {
      if error.code != .refused {
        results.append(contentsOf: repeatElement(.failure(error), count: items.count))
      } else if let item = items.first, items.count == 1 {
        results.append(.success(refuse(item, error)))
      } else {
        let middle = items.startIndex + items.count / 2
        bisect(items[..<middle], access, to: &results)
        bisect(items[middle...], access, to: &results)
      }
    }
  }
}
