import Testing

// What random schedules have in common: servers that are away for a while, processes that die, and the rest at the end.
extension World {
  /// Each server may be away once within that time, for long or for a moment.
  func scheduleOutages(withinMs lengthMs: Int64) {
    for server in Server.allCases where random.chance(0.4) {
      let outageMs = random.chance(0.3) ? pick(20_000...60_000) : pick(10...4_000)
      after(pick(0...lengthMs)) { [self] in outages[server] = nowMs + outageMs }
    }
  }

  /// Lets a process die up to four times within that time, and come up again soon.
  /// - Parameter start: what it then does.
  func scheduleCrashes(of process: Process, withinMs lengthMs: Int64, _ start: @escaping () -> Void = {}) {
    for _ in 0..<pick(0...4) {
      after(pick(0...lengthMs)) { [self] in
        process.crash()
        after(pick(0...4_000)) {
          guard !process.isUp else { return }
          process.restart()
          start()
        }
      }
    }
  }

  /// Ends all faults, brings everybody up, and runs until nothing is on its way.
  /// - Parameter holdsMs: after which all holds are over.
  func comeToRest(_ orchestrators: [Process], workers: [Process], holdsMs: Int64) {
    faults = .none
    outages = [:]
    for process in orchestrators + workers where !process.isUp { process.restart() }
    for worker in workers {
      worker.restart()
      work(in: worker)
    }
    _ = run(forMs: holdsMs)
    broker.resumeParked(nowMs: nowMs)
    let isAtRest = run(forMs: 600_000) { $0.isAtRest }
    #expect(isAtRest, "seed \(seed) comes to rest: \(broker.status), positions \(orders.positions)")
  }
}
