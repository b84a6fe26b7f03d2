import Stock

extension SaleClock {
  /// Makes a call of the stock seam and gives it up at that instant, so that one server that does not answer holds nobody
  /// up. A change that was sent by then may still be carried out: its code is `replyLost`, as ever.
  func bounded<Answer: Sendable>(
    by instant: ContinuousClock.Instant,
    _ call: @escaping @Sendable () async throws(StockError) -> Answer
  ) async -> Result<Answer, StockError> {
    await withTaskGroup(of: Result<Answer, StockError>?.self) { group in
      group.addTask {
        do throws(StockError) { return .success(try await call()) } catch { return .failure(error) }
      }
      group.addTask {
        try? await sleep(until: instant)
        return nil
      }
      var answer: Result<Answer, StockError>?
      var isLate = false
      // The first of the two ends the other; where that is the timer, the call says how it took it.
      for await result in group {
        if let result { answer = result } else if answer == nil { isLate = true }
        group.cancelAll()
      }
      switch answer {
      // Whoever was given up before anything was sent has an error of its own for it.
      case .failure(let error) where isLate && !error.isTransient && error.code != .protocolViolation:
        return .failure(StockError(.unavailable, "\(error.message): there was no answer in time"))
      case .some(let answer): return answer
      case nil: return .failure(StockError(.replyLost, "there was no answer in time"))
      }
    }
  }

  /// A call for each item, all at once, each bounded; the answers are in the items' order.
  func all<Item: Sendable, Answer: Sendable>(
    _ items: [Item],
    by instant: ContinuousClock.Instant,
    _ call: @escaping @Sendable (Item) async throws(StockError) -> Answer
  ) async -> [Result<Answer, StockError>] {
    if items.count == 1, let item = items.first {
      return [await bounded(by: instant) { () async throws(StockError) in try await call(item) }]
    }
    return await withTaskGroup(of: (Int, Result<Answer, StockError>).self) { group in
      for (index, item) in items.enumerated() {
        group.addTask { (index, await bounded(by: instant) { () async throws(StockError) in try await call(item) }) }
      }
      var answers = [Result<Answer, StockError>](
        repeating: .failure(StockError(.replyLost, "there was no answer")),
        count: items.count
      )
      for await (index, answer) in group { answers[index] = answer }
      return answers
    }
  }
}
