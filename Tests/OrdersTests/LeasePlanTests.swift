import Orders
import Testing

@Suite("Sharing buckets out")
struct LeasePlanTests {
  @Test(
    "Whoever comes and goes, in whatever order they ask, all buckets are somebody's and nobody has more than his part"
  )
  func everySmallWorld() {
    for workers in 1...4 {
      for buckets in 0...7 {
        let names = (0..<workers).map { "w\($0)" }
        // Everything was the first one's before the others came.
        var leases = Dictionary(uniqueKeysWithValues: (0..<buckets).map { ($0, "w0") })
        for _ in 0..<2 {
          for name in names {
            let plan = LeasePlan(worker: name, workers: Set(names), buckets: buckets, leases: leases)
            #expect(plan.workers == workers)
            for bucket in plan.buckets { #expect(leases[bucket] ?? name == name, "a bucket was taken away") }
            leases = leases.filter { $0.value != name }
            for bucket in plan.buckets { leases[bucket] = name }
          }
        }
        let parts = names.map { name in leases.values.count { $0 == name } }
        #expect(leases.count == buckets)
        #expect((parts.max() ?? 0) - (parts.min() ?? 0) <= 1, "\(workers) workers, \(buckets) buckets: \(parts)")
      }
    }
  }

  @Test("A worker keeps the buckets that it has")
  func stable() {
    let leases = [0: "b", 1: "a", 2: "a", 3: "b"]
    let plan = LeasePlan(worker: "a", workers: ["a", "b"], buckets: 4, leases: leases)
    #expect(plan.buckets == [1, 2])
  }

  @Test("Leases of buckets that the sale does not have are passed over")
  func stray() {
    let plan = LeasePlan(worker: "a", workers: [], buckets: 1, leases: [7: "a", 8: "b"])
    #expect(plan.buckets == [0])
  }
}
