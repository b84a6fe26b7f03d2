import Foundation
import Glibc
import Synchronization
import TestServers

/// A peer that speaks MySQL's protocol and answers some commands by a script, all others as the real server behind it
/// does. So it can play engines that can't be had here, and faults that a real server has only now and then.
final class ScriptedServer: Sendable {
  /// What a client sends, once it is let in.
  struct Command {
    enum Kind { case query, execute, other }

    let kind: Kind
    /// The statement; of a prepared one too.
    let text: String

    var isCommit: Bool { kind == .query && text == "COMMIT" }
    func isExecute(_ prefix: String) -> Bool { kind == .execute && text.hasPrefix(prefix) }
  }

  enum Action {
    case forward
    case refuse(code: UInt16, state: String, message: String)
    /// The connection dies before the server has heard of it.
    case cut
    /// The server does it, and the connection dies before the client has heard of it.
    case forwardAndCut
    /// As an engine does that knows inventory hints.
    case obeyHint
    /// The same, and the connection dies before the client has heard of it.
    case obeyHintAndCut
  }

  typealias Script = @Sendable (Command) -> Action

  private struct State {
    var commands: [String] = []
    var failures: [String] = []
    var connections: [Int32] = []
    var isClosed = false
  }

  private let directory: TemporaryDirectory
  private let backend: String
  private let listener: Int32
  private let script: Script
  private let state = Mutex(State())

  init(before server: MariaDBServer, _ script: @escaping Script) throws {
    directory = try TemporaryDirectory()
    backend = server.socketPath
    self.script = script
    listener = try Self.listen(directory.file("my.sock"))
    let listener = listener
    Thread.detachNewThread { [weak self] in
      while true {
        let client = accept(listener, nil, nil)
        guard client >= 0, let self else { return }
        Thread.detachNewThread { self.serve(client) }
      }
    }
  }

  /// Ends all connections; the object itself lives on until their threads have ended.
  func close() {
    state.withLock { state in
      state.isClosed = true
      for connection in state.connections { shutdown(connection, Int32(SHUT_RDWR)) }
    }
    shutdown(listener, Int32(SHUT_RDWR))
    Glibc.close(listener)
  }

  func url(database: String) -> String { "mysql://shop:secret@/\(database)?socket=\(directory.file("my.sock"))" }

  /// The statements that clients have sent, in their order.
  var commands: [String] { state.withLock { $0.commands } }
  var failures: [String] { state.withLock { $0.failures } }

  private func serve(_ client: Int32) {
    do {
      let server = try Self.connect(backend)
      let isClosed = state.withLock { state in
        state.connections += [client, server]
        return state.isClosed
      }
      if !isClosed {
        var session = Session(
          client: Wire(client),
          server: Wire(server),
          script: script,
          note: { [weak self] text in self?.state.withLock { $0.commands.append(text) } }
        )
        try session.run()
      }
      state.withLock { $0.connections.removeAll { $0 == client || $0 == server } }
      Glibc.close(server)
    } catch {
      state.withLock { $0.failures.append("\(error)") }
    }
    Glibc.close(client)
  }

  private static func address<Result>(
    _ path: String,
    _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
  }

  private static func listen(_ path: String) throws -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard address(path, { bind(descriptor, $0, $1) }) == 0, Glibc.listen(descriptor, 64) == 0 else {
      throw TestServerError.system("listen", errno)
    }
    return descriptor
  }

  private static func connect(_ path: String) throws -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard address(path, { Glibc.connect(descriptor, $0, $1) }) == 0 else {
      throw TestServerError.system("connect", errno)
    }
    return descriptor
  }
}

/// One client and its own connection to the real server.
private struct Session {
  let client: Wire
  let server: Wire
  let script: ScriptedServer.Script
  let note: (String) -> Void
  private var prepared: [UInt32: String] = [:]
  private var isInTransaction = false

  init(client: Wire, server: Wire, script: @escaping ScriptedServer.Script, note: @escaping (String) -> Void) {
    self.client = client
    self.server = server
    self.script = script
    self.note = note
  }

  /// Until one of the two closes, or the script cuts.
  mutating func run() throws {
    while true {
      guard try passOn() else { return }
      guard let packet = try client.packet() else { return }
      guard try handle(packet) else { return }
    }
  }

  /// Passes on what the server says until the client has something to say.
  private func passOn() throws -> Bool {
    while true {
      var ready = [
        pollfd(fd: client.descriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: server.descriptor, events: Int16(POLLIN), revents: 0),
      ]
      guard poll(&ready, 2, 60_000) > 0 else { return false }
      if ready[1].revents != 0 {
        guard let bytes = server.some() else { return false }
        try client.send(bytes)
      } else if ready[0].revents != 0 {
        return true
      }
    }
  }

  /// - Returns: false where the connection ends.
  private mutating func handle(_ packet: Packet) throws -> Bool {
    // The client's answer to the greeting has another number.
    guard packet.number == 0, let command = command(packet) else {
      try server.send(packet.bytes)
      return true
    }
    note(command.text)
    switch script(command) {
    case .forward:
      try forward(packet, command)
      return true
    case .refuse(let code, let state, let message):
      try client.send(Packet.error(code: code, state: state, message: message).bytes)
      return true
    case .cut: return false
    case .forwardAndCut:
      try server.send(packet.bytes)
      _ = try server.packet()
      return false
    case .obeyHint:
      guard let answer = try obeyHint(packet) else { return false }
      try client.send(answer.bytes)
      return true
    case .obeyHintAndCut:
      _ = try obeyHint(packet)
      return false
    }
  }

  private func command(_ packet: Packet) -> ScriptedServer.Command? {
    guard let code = packet.payload.first else { return nil }
    let rest = packet.payload.dropFirst()
    switch code {
    case 0x03: return .init(kind: .query, text: String(decoding: rest, as: UTF8.self))
    case 0x16: return .init(kind: .other, text: String(decoding: rest, as: UTF8.self))
    case 0x17, 0xFA: return .init(kind: .execute, text: prepared[Packet.number(rest.prefix(4))] ?? "")
    default: return .init(kind: .other, text: "")
    }
  }

  private mutating func forward(_ packet: Packet, _ command: ScriptedServer.Command) throws {
    if command.kind == .query {
      if command.text == "BEGIN" { isInTransaction = true }
      if command.text == "COMMIT" || command.text == "ROLLBACK" { isInTransaction = false }
    }
    try server.send(packet.bytes)
    // The answer to a preparation begins with the statement's number.
    guard packet.payload.first == 0x16, let answer = try server.packet() else { return }
    if answer.payload.first == 0 { prepared[Packet.number(answer.payload.dropFirst().prefix(4))] = command.text }
    try client.send(answer.bytes)
  }

  /// Commits where exactly one row changed, else rolls back and fails; and refuses in autocommit.
  /// - Returns: what the client hears; nil where the server is gone.
  private mutating func obeyHint(_ packet: Packet) throws -> Packet? {
    guard isInTransaction else {
      let message = "Inventory transactional hints didn't allowed in autocommit mode"
      return Packet.error(code: 7531, state: "HY000", message: message)
    }
    guard let answer = try server.ask(packet) else { return nil }
    let isDone = answer.payload.first == 0
    let isChanged = isDone && answer.payload.dropFirst().first == 1
    guard try server.ask(Packet.query(isChanged ? "COMMIT" : "ROLLBACK"))?.payload.first == 0 else { return nil }
    isInTransaction = false
    if isChanged { return answer.outOfTransaction }
    // Its own errors (a deadlock, say) are passed on.
    if !isDone { return answer }
    let message = "The affected row number does not match that of user specified"
    return Packet.error(code: 7530, state: "HY000", message: message)
  }
}

/// A packet of the protocol: three bytes of length, its number, its payload.
private struct Packet {
  var number: UInt8
  var payload: [UInt8]

  var bytes: [UInt8] {
    [UInt8(payload.count & 255), UInt8(payload.count >> 8 & 255), UInt8(payload.count >> 16), number] + payload
  }

  static func query(_ text: String) -> Packet { Packet(number: 0, payload: [0x03] + Array(text.utf8)) }

  static func error(code: UInt16, state: String, message: String) -> Packet {
    let head: [UInt8] = [0xFF, UInt8(code & 255), UInt8(code >> 8)]
    return Packet(number: 1, payload: head + Array("#\(state)\(message)".utf8))
  }

  static func number(_ bytes: some Sequence<UInt8>) -> UInt32 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// A success with one row and no new id, after whose counts the status stands; its first bit says "in a transaction".
  var outOfTransaction: Packet {
    var packet = self
    packet.payload[3] &= 0xFE
    return packet
  }
}

private struct Wire {
  let descriptor: Int32

  init(_ descriptor: Int32) {
    self.descriptor = descriptor
    var limit = timeval(tv_sec: 60, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  func send(_ bytes: [UInt8]) throws {
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return }
      sent += count
    }
  }

  /// What is there; nil at the end.
  func some() -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = recv(descriptor, &bytes, bytes.count, 0)
    return count > 0 ? Array(bytes[..<count]) : nil
  }

  private func exactly(_ count: Int) throws -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    var have = 0
    while have < count {
      let more = bytes.withUnsafeMutableBytes {
        recv(descriptor, $0.baseAddress.map { $0 + have }, count - have, 0)
      }
      guard more > 0 else { return nil }
      have += more
    }
    return bytes
  }

  func packet() throws -> Packet? {
    guard let head = try exactly(4) else { return nil }
    guard let payload = try exactly(Int(Packet.number(head[..<3]))) else { return nil }
    return Packet(number: head[3], payload: payload)
  }

  /// Sends a command that is answered by one packet.
  func ask(_ packet: Packet) throws -> Packet? {
    try send(packet.bytes)
    return try self.packet()
  }
}
