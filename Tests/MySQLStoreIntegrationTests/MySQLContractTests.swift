import MySQLStore
import OrderStoreContract
import Orders
import Testing

@Suite("MariaDB keeps the order stores' contract")
struct MySQLContractTests {
  @Test("Every behaviour, with every strategy", arguments: OrderStoreBehaviour.all, HotRowStrategy.allCases)
  func contract(behaviour: OrderStoreBehaviour, strategy: HotRowStrategy) async throws {
    try await behaviour.check(MySQLFixture.make(MySQLStoreOptions(strategy: strategy)))
  }

  @Test("Every behaviour, with several rows in a statement, as on MySQL", arguments: OrderStoreBehaviour.all)
  func contractWithoutArrays(behaviour: OrderStoreBehaviour) async throws {
    try await behaviour.check(MySQLFixture.make(MySQLStoreOptions(strategy: .groupCommit, usesArrays: false)))
  }
}
