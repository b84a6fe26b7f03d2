import RedisDriver
import Stock

extension BucketID {
  /// `doorbuster:{SKU/N}`. The braces spread a product's buckets over the slots of a cluster.
  var key: String { "doorbuster:{\(sku.text)/\(index)}" }
}

extension CommandWriter {
  /// Writes ``BucketID/key`` without building it: a deduction costs no allocation for its key.
  mutating func key(of bucket: BucketID) { bucket.withKey { argument($0) } }
}

extension BucketID {
  private static let prefix: StaticString = "doorbuster:{"
  private static let keyBytesMax = 12 + 64 + 1 + 20 + 1

  /// Lends the bytes of ``key``.
  @inline(__always)
  fileprivate func withKey(_ body: (UnsafeRawBufferPointer) -> Void) {
    withUnsafeTemporaryAllocation(byteCount: Self.keyBytesMax, alignment: 1) { memory in
      let prefix = UnsafeRawBufferPointer(start: Self.prefix.utf8Start, count: Self.prefix.utf8CodeUnitCount)
      memory.copyBytes(from: prefix)
      var end = prefix.count
      let copied: Void? = sku.text.utf8.withContiguousStorageIfAvailable { text in
        memory[end...].copyBytes(from: text)
        end += text.count
      }
      guard copied != nil else { return Array(key.utf8).withUnsafeBytes(body) }
      memory[end] = UInt8(ascii: "/")
      end += 1
      if (0...9).contains(index) {
        memory[end] = UInt8(ascii: "0") + UInt8(index)
        end += 1
      } else {
        for digit in String(index).utf8 {
          memory[end] = digit
          end += 1
        }
      }
      memory[end] = UInt8(ascii: "}")
      body(UnsafeRawBufferPointer(rebasing: memory[...end]))
    }
  }

  /// The bucket whose key this is; nil if it is none.
  init?(key: [UInt8]) {
    let prefix = Array("doorbuster:{".utf8)
    guard key.starts(with: prefix), key.last == UInt8(ascii: "}"),
      let slash = key.lastIndex(of: UInt8(ascii: "/")), slash > prefix.count,
      let text = String(validating: key[prefix.count..<slash], as: UTF8.self),
      let digits = String(validating: key[(slash + 1)...].dropLast(), as: UTF8.self),
      let index = Int(digits), index >= 0, let sku = try? SKU(text)
    else { return nil }
    self.init(sku: sku, index: index)
  }
}

/// Where a bucket's key belongs.
struct BucketPlace: KeyPlace {
  let bucket: BucketID

  init(_ bucket: BucketID) { self.bucket = bucket }

  var position: Int { max(bucket.index, 0) }

  var slot: HashSlot {
    var slot = HashSlot(ofKey: [])
    bucket.withKey { slot = HashSlot(ofKey: $0) }
    return slot
  }

  /// No bucket's key, as those end with the brace, and none of a lease, whose works have other names.
  var replicationMark: String { "\(bucket.key):replicated" }
}
