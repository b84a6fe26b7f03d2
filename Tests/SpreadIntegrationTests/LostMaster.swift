import TestServers
import Testing

/// A master that died when its replica, now the master of its buckets, had not all of its writes.
struct LostMaster {
  let server: RedisServer
  let replica: RedisServer
  /// Whether each of its buckets had events that the replica lacks.
  let hasLostEvents: Bool

  /// Its replica hangs and is cut off while the master goes on selling; then the master dies, and the replica takes its place
  /// without what it missed.
  /// - Parameter sell: returns once each of these buckets has sold something.
  static func lose(
    _ server: RedisServer,
    of cluster: TestCluster,
    buckets: [String],
    _ sell: () async throws -> Void
  ) async throws -> LostMaster {
    let replica = try cluster.replica(of: server)
    replica.pause()
    // What waits in its socket would still reach it.
    _ = try server.call("CLIENT", "KILL", "TYPE", "replica")
    try await sell()
    let had = try buckets.map { try lastEvent($0, server) }
    try server.kill9()
    replica.resume()
    try await eventually("the replica's promotion", timeout: .seconds(60)) { try replica.call("ROLE")[0] == "master" }
    let has = try buckets.map { try lastEvent($0, replica) }
    return LostMaster(server: server, replica: replica, hasLostEvents: zip(had, has).allSatisfy { $0 > $1 })
  }

  private static func lastEvent(_ key: String, _ server: RedisServer) throws -> Int64 {
    try #require(try server.call("STOCK.INFO", key)["logLast"]?.integer)
  }
}
