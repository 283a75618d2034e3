/// A layer whose linear maps meet only channel by channel or head by head: with a share of the hidden channels it computes, by the very same code,
/// its share of the sum that its last map forms. Tensor parallelism holds such shares on several devices.
public protocol PartitionableLayer: Module {
    /// Channels between two of its linear maps that must not be torn apart: the width of a head, or 1 where channels are independent.
    /// - Parameter child: name of the map that they come out of, as ``Module/children`` has it.
    func channelsKeptTogether(by child: String) -> Int
}

extension PartitionableLayer {
    public func channelsKeptTogether(by child: String) -> Int { 1 }
}
