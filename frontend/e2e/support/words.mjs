// The words by which the tests find things, in the languages of the app.
export const words = {
  en: {
    signIn: { email: 'Email', address: 'Email address', password: 'Password', submit: 'Sign in' },
    bell: 'Notifications', unread: (count) => `Notifications, ${count} unread`, list: 'Notifications', toasts: 'New notifications',
    dismiss: 'Dismiss', settings: 'Settings', back: 'Back', close: 'Close', signOut: 'Sign out', language: 'Language',
  },
  da: {
    signIn: { email: 'E-mail', address: 'E-mailadresse', password: 'Adgangskode', submit: 'Log ind' },
    bell: 'Notifikationer', unread: (count) => `Notifikationer, ${count} ${count === 1 ? 'ulæst' : 'ulæste'}`, list: 'Notifikationer',
    toasts: 'Nye notifikationer', dismiss: 'Luk', settings: 'Indstillinger', back: 'Tilbage', close: 'Luk', signOut: 'Log ud', language: 'Sprog',
  },
};
