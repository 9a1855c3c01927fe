package auth

// NewSDK is the verifier of Google's Admin SDK, which production uses for the
// emulator's tokens only.
var NewSDK = newSDK
