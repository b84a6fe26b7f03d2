import Glibc

/// A non-blocking stream socket, closed with its last owner.
struct Socket: ~Copyable {
  let descriptor: Int32

  init(_ descriptor: Int32) { self.descriptor = descriptor }
  deinit { close(descriptor) }

  enum Transfer: Equatable {
    case bytes(Int)
    case wouldBlock
    case ended
    case failed(Int32)
  }

  /// Begins to connect. Whether it worked is known when the socket becomes writable.
  /// - Parameter underWayMs: how long what was sent is on its way at most. What the peer has not taken by then never arrives,
  ///   also if this end is closed or its process dies: the kernel would try on for minutes.
  static func connecting(to address: SocketAddress, underWayMs: Int64) throws(RedisError) -> Socket {
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let descriptor = socket(address.family, type, 0)
    guard descriptor >= 0 else { throw RedisError(.systemFailure, "no socket: \(systemError(errno))") }
    let socket = Socket(descriptor)
    if address.family != AF_UNIX { socket.setUp(underWayMs: UInt32(clamping: underWayMs)) }
    let outcome = address.withSockAddr { connect(descriptor, $0, $1) }
    // A unix socket whose queue is full says EAGAIN at once, and is to be tried again.
    guard outcome == 0 || errno == EINPROGRESS else {
      throw RedisError(.cannotConnect, "cannot connect: \(systemError(errno))")
    }
    return socket
  }

  /// 0, or the `errno` with which connecting failed.
  var connectError: Int32 {
    var error: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno
  }

  /// Never raises SIGPIPE.
  func send(_ bytes: UnsafeRawBufferPointer) -> Transfer {
    while true {
      let sent = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
      if sent >= 0 { return .bytes(sent) }
      if errno == EINTR { continue }
      return errno == EAGAIN || errno == EWOULDBLOCK ? .wouldBlock : .failed(errno)
    }
  }

  func receive(into memory: UnsafeMutableRawBufferPointer) -> Transfer {
    while true {
      let received = recv(descriptor, memory.baseAddress, memory.count, 0)
      if received > 0 { return .bytes(received) }
      if received == 0 { return .ended }
      if errno == EINTR { continue }
      return errno == EAGAIN || errno == EWOULDBLOCK ? .wouldBlock : .failed(errno)
    }
  }

  private func setUp(underWayMs: UInt32) {
    var on: Int32 = 1
    let size = socklen_t(MemoryLayout<Int32>.size)
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, size)
    var underWay = underWayMs
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &underWay, size)
    // Keep-alive finds a peer that went away without a word while nothing is in flight.
    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, size)
    var idleSeconds: Int32 = 15
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, &idleSeconds, size)
    var intervalSeconds: Int32 = 5
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_KEEPINTVL, &intervalSeconds, size)
    var probes: Int32 = 3
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_KEEPCNT, &probes, size)
  }
}

/// What `errno` says, in words.
func systemError(_ number: Int32) -> String {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { text in
    guard let base = text.baseAddress, strerror_r(number, base, text.count) == 0 else { return "error \(number)" }
    return String(cString: base)
  }
}

/// An address that a socket can connect to.
struct SocketAddress: Sendable, Equatable {
  let family: Int32
  private let bytes: [UInt8]

  /// The path must fit, as ``RedisURL`` has made sure.
  init(path: String) {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8).prefix($0.count - 1)) }
    family = AF_UNIX
    bytes = withUnsafeBytes(of: &address) { Array($0) }
  }

  init(_ info: addrinfo) {
    family = info.ai_family
    bytes = Array(UnsafeRawBufferPointer(start: info.ai_addr, count: Int(info.ai_addrlen)))
  }

  func withSockAddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    var storage = sockaddr_storage()
    withUnsafeMutableBytes(of: &storage) { $0.copyBytes(from: bytes.prefix($0.count)) }
    return withUnsafePointer(to: &storage) { storage in
      storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(bytes.count)) }
    }
  }

  /// Asks the resolver. With `numericOnly` it does not wait for anybody, and knows no names.
  static func resolve(host: String, port: Int, numericOnly: Bool) -> Result<[SocketAddress], RedisError> {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_NUMERICSERV | (numericOnly ? AI_NUMERICHOST : AI_ADDRCONFIG)
    var list: UnsafeMutablePointer<addrinfo>?
    let outcome = getaddrinfo(host, String(port), &hints, &list)
    defer { if let list { freeaddrinfo(list) } }
    guard outcome == 0 else {
      let reason = outcome == EAI_SYSTEM ? systemError(errno) : String(cString: gai_strerror(outcome))
      return .failure(RedisError(.cannotConnect, "cannot connect: cannot resolve the host's name: \(reason)"))
    }
    var addresses: [SocketAddress] = []
    var next = list
    while let info = next {
      addresses.append(SocketAddress(info.pointee))
      next = info.pointee.ai_next
    }
    return .success(addresses)
  }
}
