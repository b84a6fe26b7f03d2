import BrokerContract
import Testing

// One after the other: what they measure is time, and each has a server and several processes of its own.
@Suite("The broker contract, on Redis streams", .serialized)
struct BrokerContractTests {
  @Test("What every broker does", .timeLimit(.minutes(10)), arguments: BrokerContract.behaviours)
  func behaviour(_ behaviour: BrokerBehaviour) async throws {
    let fixture = try StreamsFixture()
    try await behaviour.run(fixture)
  }
}
