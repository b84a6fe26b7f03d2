import CMariaDB
import Dispatch
import Foundation
import Glibc
import Logging
import Orders
import Synchronization

/// Connections, each with a thread of its own on which the library may block. They are made as they are needed.
final class ConnectionPool: Sendable {
  typealias Job = @Sendable (Result<Connection, OrderStoreError>) -> Void

  private struct State {
    var jobs: [Job] = []
    var idle = 0
    var threads = 0
    var isClosed = false
    var closers: [CheckedContinuation<Void, Never>] = []
  }

  let url: MySQLURL
  let options: MySQLStoreOptions
  private let logger: Logger
  private let state = Mutex(State())
  private let work = DispatchSemaphore(value: 0)

  init(_ url: MySQLURL, _ options: MySQLStoreOptions, _ logger: Logger) {
    self.url = url
    self.options = options
    self.logger = logger
  }

  /// Runs a job on one of the threads; those that wait have their turn in order.
  func run(_ job: @escaping Job) {
    let (isClosed, starts) = state.withLock { state in
      if state.isClosed { return (true, false) }
      state.jobs.append(job)
      // A thread that is about to take an earlier job is not there for this one.
      let starts = state.idle < state.jobs.count && state.threads < options.connectionsMax
      if starts { state.threads += 1 }
      return (false, starts)
    }
    if isClosed { return job(.failure(OrderStoreError(.unavailable, "the store of \(url) is closed"))) }
    work.signal()
    if starts { startThread() }
  }

  /// Runs a call and waits for it without holding a thread of the caller's.
  func call<Value: Sendable>(
    _ body: @escaping @Sendable (Connection) throws(OrderStoreError) -> Value
  ) async throws(OrderStoreError) -> Value {
    let result = await withCheckedContinuation { (done: CheckedContinuation<Result<Value, OrderStoreError>, Never>) in
      run { access in
        switch access {
        case .failure(let error): done.resume(returning: .failure(error))
        case .success(let connection):
          do throws(OrderStoreError) {
            done.resume(returning: .success(try body(connection)))
          } catch {
            done.resume(returning: .failure(error))
          }
        }
      }
    }
    return try result.get()
  }

  /// Waits for what is under way, then closes all connections.
  func close() async {
    await withCheckedContinuation { done in
      let (threads, isDone) = state.withLock { state in
        state.isClosed = true
        guard state.threads > 0 else { return (0, true) }
        state.closers.append(done)
        return (state.threads, false)
      }
      for _ in 0..<threads { work.signal() }
      if isDone { done.resume() }
    }
  }

  private func startThread() {
    let thread = Thread { [self] in
      // The library writes to sockets whose peer may be gone.
      var signals = sigset_t()
      sigemptyset(&signals)
      sigaddset(&signals, SIGPIPE)
      pthread_sigmask(SIG_BLOCK, &signals, nil)
      mysql_thread_init()
      serve(Connection(url, options, logger))
      mysql_thread_end()
      end()
    }
    thread.name = "doorbuster.mysql"
    thread.stackSize = 1 << 20
    thread.start()
  }

  private func serve(_ connection: Connection) {
    while true {
      state.withLock { $0.idle += 1 }
      work.wait()
      let (job, ends) = state.withLock { state -> (Job?, Bool) in
        state.idle -= 1
        if state.jobs.isEmpty { return (nil, state.isClosed) }
        return (state.jobs.removeFirst(), false)
      }
      if let job { job(.success(connection)) }
      if ends { return connection.disconnect() }
    }
  }

  private func end() {
    let closers = state.withLock { state in
      state.threads -= 1
      guard state.threads == 0 else { return [CheckedContinuation<Void, Never>]() }
      defer { state.closers = [] }
      return state.closers
    }
    for closer in closers { closer.resume() }
  }
}
