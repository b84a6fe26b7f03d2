import Glibc
import Testing

@testable import RedisDriver

@Suite("A socket")
struct SocketTests {
  @Test(
    "lets nothing that was sent be on its way for longer than a command may take",
    arguments: [1, 5_000] as [Int64]
  )
  func underWay(ms: Int64) throws {
    let addresses = try SocketAddress.resolve(host: "127.0.0.1", port: 9, numericOnly: true).get()
    // The connection is not waited for, so nobody need listen there.
    let socket = try Socket.connecting(to: #require(addresses.first), underWayMs: ms)
    var value: UInt32 = 0
    var size = socklen_t(MemoryLayout<UInt32>.size)
    #expect(getsockopt(socket.descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &value, &size) == 0)
    #expect(value == ms)
  }
}
