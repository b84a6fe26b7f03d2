import CHiredis
import Glibc
import Synchronization

/// One thread that does the input and output of all its links, and, as a task executor, runs the tasks that want to
/// be near them.
///
/// Everything of a link but its inbox belongs to this thread. Others reach it by posting operations here; they wake it
/// only if it sleeps.
final class IOThread: TaskExecutor, @unchecked Sendable {
  /// What other threads ask for.
  enum Operation {
    /// The link's inbox is no longer empty.
    case commands(Link)
    case add(Link)
    case cancel(Link, id: UInt64)
    case close(Link, UnsafeContinuation<Void, Never>)
    /// The link's client is gone without closing it.
    case discard(Link)
    case resolved(Link, attempt: Int, Result<[SocketAddress], RedisError>)
    /// The link's server has nothing to do any more, so that nothing should wait for it.
    case retire(Link)
    /// The cluster's map may have to be asked for.
    case look(ClusterCore)
    case dismiss(ClusterCore)
  }

  private struct Inbox {
    var jobs: [UnownedJob] = []
    var operations: [Operation] = []
    var sleeping = false
    var stopped = false
  }

  private let inbox = Mutex(Inbox())
  private let wakeUpDescriptor: Int32
  private let identity = Atomic<UInt>(0)

  // From here on: of this thread alone. Not checked at run time for overlapping accesses, as no method comes back here
  // while it changes one of them.
  @exclusivity(unchecked) private var jobs: [UnownedJob] = []
  private var operations: [Operation] = []
  private var links: [Link] = []
  private var clusters: [ClusterCore] = []
  private var pollTable: [pollfd] = []
  /// Read once per cycle.
  @exclusivity(unchecked) private(set) var now = MonotonicTime.now
  let readBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)

  /// Starts the thread. It ends by itself when its last link has been closed and its last cluster dismissed.
  static func start(with link: Link) throws(RedisError) -> IOThread {
    let thread = try make()
    link.thread = thread
    thread.links.append(link)
    try startThread { thread.run() }
    return thread
  }

  /// Starts the thread for a cluster, whose links come and go.
  static func start(_ cluster: (IOThread) -> ClusterCore) throws(RedisError) -> (IOThread, ClusterCore) {
    let thread = try make()
    let core = cluster(thread)
    thread.clusters.append(core)
    try startThread { thread.run() }
    return (thread, core)
  }

  private static func make() throws(RedisError) -> IOThread {
    let descriptor = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
    guard descriptor >= 0 else { throw RedisError(.systemFailure, "no event descriptor: \(systemError(errno))") }
    return IOThread(wakeUpDescriptor: descriptor)
  }

  private init(wakeUpDescriptor: Int32) { self.wakeUpDescriptor = wakeUpDescriptor }

  deinit {
    close(wakeUpDescriptor)
    readBuffer.deallocate()
  }

  /// True on this thread.
  @inline(__always)
  var isCurrent: Bool { identity.load(ordering: .relaxed) == UInt(pthread_self()) }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    if isCurrent {
      jobs.append(job)
      return
    }
    let (accepted, wake) = inbox.withLock { inbox in
      guard !inbox.stopped else { return (false, false) }
      inbox.jobs.append(job)
      return (true, Self.mustWake(&inbox))
    }
    if wake { wakeUp() }
    // A task may outlive the client whose executor it prefers: then it goes on in the common pool.
    if !accepted { globalConcurrentExecutor.enqueue(ExecutorJob(job)) }
  }

  /// Returns false if the thread has ended, so that the operation won't happen.
  func post(_ operation: Operation) -> Bool {
    let (accepted, wake) = inbox.withLock { inbox in
      guard !inbox.stopped else { return (false, false) }
      inbox.operations.append(operation)
      return (true, Self.mustWake(&inbox))
    }
    if wake { wakeUp() }
    return accepted
  }

  private static func mustWake(_ inbox: inout Inbox) -> Bool {
    guard inbox.sleeping else { return false }
    inbox.sleeping = false
    return true
  }

  private func wakeUp() {
    var one: UInt64 = 1
    // It fails only where the counter is full, and then the thread has enough to wake from.
    _ = write(wakeUpDescriptor, &one, MemoryLayout<UInt64>.size)
  }
}

extension IOThread {
  private func run() {
    identity.store(UInt(pthread_self()), ordering: .relaxed)
    while true {
      takeInbox()
      runOperations()
      runJobs()
      now = .now
      for cluster in clusters { cluster.work(now) }
      for link in links { link.work(now) }
      links.removeAll { $0.isFinished }
      if links.isEmpty, clusters.isEmpty, stop() { break }
      wait()
    }
    // What the pool runs from now on must not be taken for this thread.
    identity.store(0, ordering: .relaxed)
  }

  private func takeInbox() {
    let fresh = inbox.withLock { inbox in
      inbox.sleeping = false
      let jobs = inbox.jobs
      inbox.jobs.removeAll(keepingCapacity: false)
      swap(&operations, &inbox.operations)
      return jobs
    }
    jobs.append(contentsOf: fresh)
  }

  private func runOperations() {
    for operation in operations {
      switch operation {
      case .commands(let link): link.takeInbox(now)
      case .add(let link): links.append(link)
      case .cancel(let link, let id): link.cancel(id, now)
      case .close(let link, let continuation): link.close(continuation, now)
      case .discard(let link): link.discard()
      case .resolved(let link, let attempt, let result): link.resolved(result, attempt: attempt, now)
      case .retire(let link): link.retire(now)
      case .look: break
      case .dismiss(let core): clusters.removeAll { $0 === core }
      }
    }
    operations.removeAll(keepingCapacity: true)
  }

  /// Runs the jobs that are here now; those that they make run after the next look at the sockets.
  private func runJobs() {
    guard !jobs.isEmpty else { return }
    var running: [UnownedJob] = []
    swap(&running, &jobs)
    for job in running { job.runSynchronously(on: asUnownedTaskExecutor()) }
    if jobs.isEmpty {
      running.removeAll(keepingCapacity: true)
      swap(&running, &jobs)
    }
  }

  /// Ends the thread, unless there is something left to do.
  private func stop() -> Bool {
    guard jobs.isEmpty else { return false }
    return inbox.withLock { inbox in
      guard inbox.jobs.isEmpty, inbox.operations.isEmpty else { return false }
      inbox.stopped = true
      return true
    }
  }

  private func wait() {
    let timeout = sleepMilliseconds()
    pollTable.removeAll(keepingCapacity: true)
    pollTable.append(pollfd(fd: wakeUpDescriptor, events: Int16(POLLIN), revents: 0))
    // A link without a socket has an entry too, which poll passes over, so that both lists run in step.
    for link in links { pollTable.append(pollfd(fd: link.descriptor, events: link.pollEvents, revents: 0)) }
    let ready = poll(&pollTable, nfds_t(pollTable.count), timeout)
    now = .now
    if pollTable[0].revents != 0 {
      var count: UInt64 = 0
      _ = read(wakeUpDescriptor, &count, MemoryLayout<UInt64>.size)
    }
    for index in links.indices { links[index].ready(ready > 0 ? pollTable[index + 1].revents : 0, now) }
  }

  /// 0 if there is something to do; else announces that the thread sleeps, until the earliest time-out of a link.
  private func sleepMilliseconds() -> Int32 {
    guard jobs.isEmpty else { return 0 }
    let idle = inbox.withLock { inbox in
      guard inbox.jobs.isEmpty, inbox.operations.isEmpty else { return false }
      inbox.sleeping = true
      return true
    }
    guard idle else { return 0 }
    let linksTime = links.lazy.compactMap(\.wakeUp).min()
    let clustersTime = clusters.lazy.compactMap(\.wakeUp).min()
    guard let wakeUp = linksTime.map({ min($0, clustersTime ?? $0) }) ?? clustersTime else { return -1 }
    let nanoseconds = max(wakeUp.nanoseconds - now.nanoseconds, 0)
    // Rounded up, as waking too early would only mean to go round once more.
    return Int32(min((nanoseconds + 999_999) / 1_000_000, 3_600_000))
  }
}

/// Runs the body on a thread of its own, which takes no signals.
func startThread(_ body: @escaping @Sendable () -> Void) throws(RedisError) {
  final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }
  let argument = Unmanaged.passRetained(Body(body))
  var all = sigset_t()
  var before = sigset_t()
  sigfillset(&all)
  pthread_sigmask(SIG_SETMASK, &all, &before)
  defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
  var thread = pthread_t()
  let outcome = pthread_create(
    &thread,
    nil,
    { argument in
      guard let argument else { return nil }
      Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
      return nil
    },
    argument.toOpaque()
  )
  guard outcome == 0 else {
    argument.release()
    throw RedisError(.systemFailure, "no thread: \(systemError(outcome))")
  }
  pthread_detach(thread)
}
