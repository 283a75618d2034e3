import CTorch

/// Runs `body` in mixed precision: matrix products and convolutions are computed in `dtype`, reductions that need it in float32.
///
/// Parameters stay as they are and their gradients come in their own type. Call it around the forward pass and the loss only;
/// the backward pass uses the types of the forward by itself. Calls nest; `enabled: false` switches it off inside.
public func autocast<Result>(
    _ dtype: DType = .bfloat16, device: Device = .default, enabled: Bool = true, _ body: () throws -> Result
) rethrows -> Result {
    let kind: Int32 = device.kind.rawValue
    let before: (enabled: Bool, type: Int32) = (ct_autocast_enabled(kind), ct_autocast_type(kind))
    ct_set_autocast(kind, enabled, dtype.rawValue)
    defer { ct_set_autocast(kind, before.enabled, before.type) }
    return try body()
}

/// Whether operators run in mixed precision on this thread.
public func isAutocastEnabled(on device: Device = .default) -> Bool { ct_autocast_enabled(device.kind.rawValue) }
