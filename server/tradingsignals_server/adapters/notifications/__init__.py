"""Sends messages to endpoints: see application.ports.notifications.Sender."""
