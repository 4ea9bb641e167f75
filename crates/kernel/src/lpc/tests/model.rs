//! What ports do, as short as it can be said: lists, and no threads.

use abi::NTSTATUS;

/// Participants 0 and 1 are a server's threads, the others one client each.
pub(super) const SERVERS: usize = 2;
pub(super) const PARTICIPANTS: usize = 5;

/// Numbers that a seed gives.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % end.max(1)
    }
}

/// Through which port something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Through {
    Connection,
    Server(usize),
    Client(usize),
}

/// What a participant does. Connections are numbered as they are asked for, messages as they are sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Connect {
        who: usize,
        info: u8,
    },
    Accept {
        who: usize,
        connection: usize,
    },
    Refuse {
        who: usize,
        connection: usize,
    },
    Complete {
        who: usize,
        connection: usize,
    },
    Receive {
        who: usize,
        through: Through,
        waits: bool,
    },
    Send {
        who: usize,
        through: Through,
        data: u8,
    },
    Ask {
        who: usize,
        through: Through,
        data: u8,
    },
    Reply {
        who: usize,
        through: Through,
        to: usize,
        data: u8,
        receives: bool,
    },
    /// A reply to a request that nobody has received yet, by numbers that are guessed.
    Guess {
        who: usize,
        through: Through,
        to: usize,
        asker: usize,
        data: u8,
    },
    CallBack {
        who: usize,
        through: Through,
        to: usize,
        data: u8,
    },
    ReplyWait {
        who: usize,
        through: Through,
        to: usize,
        data: u8,
    },
    /// For memory that a request gives, of which none does.
    Look {
        who: usize,
        through: Through,
        to: usize,
    },
    Interrupt {
        who: usize,
    },
    Close {
        through: Through,
    },
}

/// How a participant's call ended: what it says, and of a message its type, sender, data, PortContext and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ended {
    pub(super) who: usize,
    pub(super) status: u32,
    pub(super) message: Option<(u16, usize, u8, u64, usize)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asked,
    Held,
    Accepted,
    Open,
    Over,
}

struct Connection {
    client: usize,
    /// The number of its request.
    number: usize,
    stage: Stage,
    connecting: bool,
    client_open: bool,
    server_open: bool,
    inbox: Inbox,
}

#[derive(Clone, Copy)]
struct Message {
    kind: u16,
    number: usize,
    from: usize,
    connection: usize,
    data: u8,
}

#[derive(Default)]
struct Inbox {
    messages: Vec<Message>,
    receivers: Vec<(usize, Through)>,
}

/// A request that is not replied to.
struct Question {
    number: usize,
    asker: usize,
    waits: bool,
    connection: usize,
    to_server: bool,
    received: bool,
    parent: Option<usize>,
}

pub(super) struct Model {
    open: bool,
    inbox: Inbox,
    connections: Vec<Connection>,
    questions: Vec<Question>,
    /// Requests that somebody has received at some time: number, connection, whether at the server's side.
    held: Vec<(usize, usize, bool)>,
    busy: [bool; PARTICIPANTS],
    sent: usize,
    ended: Vec<Ended>,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            open: true,
            inbox: Inbox::default(),
            connections: Vec::new(),
            questions: Vec::new(),
            held: Vec::new(),
            busy: [false; PARTICIPANTS],
            sent: 0,
            ended: Vec::new(),
        }
    }

    /// An act that could be tried now.
    pub(super) fn choose(&self, random: &mut Random) -> Option<Act> {
        let who = random.below(PARTICIPANTS);
        let data = u8::try_from(random.below(256)).expect("a byte");
        if self.busy[who] {
            return (random.below(30) == 0).then_some(Act::Interrupt { who });
        }
        if random.below(60) == 0 {
            return self.choose_closed(random);
        }
        if who < SERVERS
            && random.below(2) == 0
            && let Some(act) = self.go_on(who, data, random)
        {
            return Some(act);
        }
        let through = if who < SERVERS { self.choose_servers(random) } else { self.clients(who) };
        let Some(through) = through else {
            return (who >= SERVERS && self.open).then_some(Act::Connect { who, info: data });
        };
        let is_server = who < SERVERS;
        let unseen: Vec<_> = self.questions.iter().filter(|question| !question.received).collect();
        if !unseen.is_empty() && random.below(8) == 0 {
            let Question { number, asker, .. } = *unseen[random.below(unseen.len())];
            return Some(Act::Guess { who, through, to: number, asker, data });
        }
        // Now and then what the other side is to reply to.
        let all = random.below(8) == 0;
        let held: Vec<_> = self.held.iter().filter(|held| all || held.2 == is_server).collect();
        let held = held.get(random.below(held.len())).copied();
        let connection = random.below(self.connections.len());
        let exists = !self.connections.is_empty();
        match (random.below(10), held) {
            (0, _) if is_server && exists => Some(Act::Accept { who, connection }),
            (1, _) if is_server && exists && random.below(4) == 0 => Some(Act::Refuse { who, connection }),
            (0..=2, _) => Some(Act::Receive { who, through, waits: random.below(3) != 0 }),
            (3, _) if self.has_server(connection) && is_server => Some(Act::Complete { who, connection }),
            (4, _) if through != Through::Connection => Some(Act::Send { who, through, data }),
            (5, _) if through != Through::Connection => Some(Act::Ask { who, through, data }),
            (6, Some(held)) => {
                Some(Act::Reply { who, through, to: held.0, data, receives: random.below(2) == 0 })
            }
            (7, Some(held)) => Some(Act::CallBack { who, through, to: held.0, data }),
            (8, Some(held)) => Some(Act::ReplyWait { who, through, to: held.0, data }),
            (9, Some(held)) => Some(Act::Look { who, through, to: held.0 }),
            _ => None,
        }
    }

    /// What a server would do next, or else few histories come far: receive what is there, accept, complete, reply.
    fn go_on(&self, who: usize, data: u8, random: &mut Random) -> Option<Act> {
        let at = |stage| self.connections.iter().position(|one| one.stage == stage && one.client_open);
        if let Some(connection) = at(Stage::Accepted).filter(|index| self.has_server(*index)) {
            return Some(Act::Complete { who, connection });
        }
        if let Some(connection) = at(Stage::Held) {
            return Some(Act::Accept { who, connection });
        }
        let through = self.choose_servers(random)?;
        let asked: Vec<_> =
            self.questions.iter().filter(|one| one.to_server && one.received && one.waits).collect();
        if !self.inbox.messages.is_empty() && (asked.is_empty() || random.below(2) == 0) {
            return Some(Act::Receive { who, through, waits: true });
        }
        let Question { number, connection, .. } = **asked.get(random.below(asked.len()))?;
        let own = self.has_server(connection) && (!self.open || random.below(2) == 0);
        let through = if own { Through::Server(connection) } else { through };
        Some(match random.below(4) {
            0 => Act::CallBack { who, through, to: number, data },
            receives => Act::Reply { who, through, to: number, data, receives: receives == 1 },
        })
    }

    fn has_server(&self, index: usize) -> bool {
        self.connections.get(index).is_some_and(|connection| connection.server_open)
    }

    fn clients(&self, who: usize) -> Option<Through> {
        let own = |one: &Connection| one.client == who && one.client_open && !one.connecting;
        self.connections.iter().position(own).map(Through::Client)
    }

    fn choose_servers(&self, random: &mut Random) -> Option<Through> {
        let mut all: Vec<_> = (0..self.connections.len())
            .filter(|index| self.has_server(*index))
            .map(Through::Server)
            .collect();
        if self.open {
            all.push(Through::Connection);
        }
        all.get(random.below(all.len())).copied()
    }

    fn choose_closed(&self, random: &mut Random) -> Option<Act> {
        let mut all = self.all_open();
        if random.below(3) != 0 {
            all.retain(|through| *through != Through::Connection);
        }
        all.get(random.below(all.len())).map(|through| Act::Close { through: *through })
    }

    fn all_open(&self) -> Vec<Through> {
        let mut all = Vec::new();
        for (index, one) in self.connections.iter().enumerate() {
            if one.server_open {
                all.push(Through::Server(index));
            }
            if one.client_open && !one.connecting {
                all.push(Through::Client(index));
            }
        }
        if self.open {
            all.push(Through::Connection);
        }
        all
    }

    /// Whether the connection port is there, and whether it has a message.
    pub(super) fn port(&self) -> (bool, bool) {
        (self.open, !self.inbox.messages.is_empty())
    }

    /// The request that was made last.
    pub(super) fn newest(&self) -> Option<usize> {
        self.questions.last().map(|question| question.number)
    }

    /// At the end of a history.
    pub(super) fn next_to_close(&self) -> Option<Act> {
        self.all_open().first().map(|through| Act::Close { through: *through })
    }

    fn end(&mut self, who: usize, status: NTSTATUS) {
        self.busy[who] = false;
        self.ended.push(Ended { who, status: status.bits(), message: None });
    }

    fn hand(&mut self, who: usize, message: Message, at_server: bool) {
        let Message { kind, number, from, connection, data } = message;
        if kind == abi::LPC_CONNECTION_REQUEST {
            self.connections[connection].stage = Stage::Held;
        }
        if kind == abi::LPC_REQUEST {
            self.held.push((number, connection, at_server));
            if let Some(question) = self.questions.iter_mut().find(|question| question.number == number) {
                question.received = true;
            }
        }
        let asked = kind == abi::LPC_CONNECTION_REQUEST;
        let context = if at_server && !asked && kind != abi::LPC_REPLY { connection as u64 + 1 } else { 0 };
        let number = if kind == abi::LPC_PORT_CLOSED { 0 } else { number };
        self.busy[who] = false;
        let message = Some((kind, from, data, context, number));
        self.ended.push(Ended { who, status: 0, message });
    }

    fn inbox(&mut self, client: Option<usize>) -> &mut Inbox {
        match client {
            Some(index) => &mut self.connections[index].inbox,
            None => &mut self.inbox,
        }
    }

    fn deliver(&mut self, client: Option<usize>, message: Message) {
        let inbox = self.inbox(client);
        if inbox.receivers.is_empty() {
            inbox.messages.push(message);
        } else {
            let (who, _) = inbox.receivers.remove(0);
            self.hand(who, message, client.is_none());
        }
    }

    fn connected(&self, through: Through) -> Option<usize> {
        let (Through::Server(index) | Through::Client(index)) = through else { return None };
        let one = &self.connections[index];
        (one.stage == Stage::Open && one.client_open && one.server_open).then_some(index)
    }

    fn message(&mut self, kind: u16, from: usize, connection: usize, data: u8) -> Message {
        self.sent += 1;
        Message { kind, number: self.sent, from, connection, data }
    }

    /// Which question a reply or callback through a port is about.
    fn question(&self, through: Through, to: usize) -> Option<usize> {
        self.questions.iter().position(|question| {
            let fits = match through {
                Through::Connection => question.to_server,
                Through::Server(index) => question.to_server && question.connection == index,
                Through::Client(index) => !question.to_server && question.connection == index,
            };
            fits && question.number == to && question.received && question.waits
        })
    }

    fn answer(&mut self, who: usize, through: Through, to: usize, data: u8) -> bool {
        let Some(index) = self.question(through, to) else { return false };
        let Question { asker, connection, to_server, .. } = self.questions.remove(index);
        let kind = abi::LPC_REPLY;
        self.hand(asker, Message { kind, number: to, from: who, connection, data }, !to_server);
        true
    }

    fn receive(&mut self, who: usize, through: Through, waits: bool) {
        let client = if let Through::Client(index) = through { Some(index) } else { None };
        let inbox = self.inbox(client);
        if !inbox.messages.is_empty() {
            let message = inbox.messages.remove(0);
            return self.hand(who, message, client.is_none());
        }
        if client.is_some() && self.connected(through).is_none() {
            return self.end(who, abi::STATUS_PORT_DISCONNECTED);
        }
        if !waits {
            return self.end(who, abi::STATUS_TIMEOUT);
        }
        self.busy[who] = true;
        self.inbox(client).receivers.push((who, through));
    }

    pub(super) fn act(&mut self, act: Act) -> Vec<Ended> {
        match act {
            Act::Connect { who, info } => self.connect(who, info),
            Act::Accept { who, connection } => self.accept(who, connection, true),
            Act::Refuse { who, connection } => self.accept(who, connection, false),
            Act::Complete { who, connection } => self.complete(who, connection),
            Act::Receive { who, through, waits } => self.receive(who, through, waits),
            Act::Send { who, through, data } => self.send(who, through, data, false),
            Act::Ask { who, through, data } => self.send(who, through, data, true),
            Act::Reply { who, through, to, data, receives } => {
                if !self.answer(who, through, to, data) {
                    self.end(who, abi::STATUS_REPLY_MESSAGE_MISMATCH);
                } else if receives {
                    self.receive(who, through, true);
                } else {
                    self.end(who, abi::STATUS_SUCCESS);
                }
            }
            Act::Guess { who, through, to, data, .. } => {
                assert!(!self.answer(who, through, to, data), "nobody has received it");
                self.end(who, abi::STATUS_REPLY_MESSAGE_MISMATCH);
            }
            Act::CallBack { who, through, to, data } => self.call_back(who, through, to, data),
            Act::ReplyWait { who, through, to, data } => self.reply_wait(who, through, to, data),
            Act::Look { who, through, to } => {
                let waits = self.question(through, to).is_some();
                let nothing_given = abi::STATUS_INVALID_PARAMETER;
                self.end(who, if waits { nothing_given } else { abi::STATUS_REPLY_MESSAGE_MISMATCH });
            }
            Act::Interrupt { who } => self.interrupt(who),
            Act::Close { through } => match through {
                Through::Connection => self.close_connection(),
                Through::Server(index) => self.close_server(index),
                Through::Client(index) => self.close_client(index),
            },
        }
        std::mem::take(&mut self.ended)
    }

    fn connect(&mut self, who: usize, info: u8) {
        let index = self.connections.len();
        let message = self.message(abi::LPC_CONNECTION_REQUEST, who, index, info);
        self.connections.push(Connection {
            client: who,
            number: message.number,
            stage: Stage::Asked,
            connecting: true,
            client_open: true,
            server_open: false,
            inbox: Inbox::default(),
        });
        self.busy[who] = true;
        self.deliver(None, message);
    }

    fn accept(&mut self, who: usize, index: usize, accepts: bool) {
        let one = &mut self.connections[index];
        if one.stage != Stage::Held {
            return self.end(who, abi::STATUS_REPLY_MESSAGE_MISMATCH);
        }
        if accepts {
            (one.stage, one.server_open) = (Stage::Accepted, true);
        } else {
            self.refuse(index);
        }
        self.end(who, abi::STATUS_SUCCESS);
    }

    /// Its client goes on, without a port.
    fn refuse(&mut self, index: usize) {
        let one = &mut self.connections[index];
        (one.stage, one.connecting, one.client_open) = (Stage::Over, false, false);
        let client = one.client;
        self.end(client, abi::STATUS_PORT_CONNECTION_REFUSED);
    }

    fn complete(&mut self, who: usize, index: usize) {
        let one = &mut self.connections[index];
        let status = match one.stage {
            Stage::Accepted if one.connecting => {
                (one.stage, one.connecting) = (Stage::Open, false);
                let client = one.client;
                self.end(client, abi::STATUS_SUCCESS);
                abi::STATUS_SUCCESS
            }
            Stage::Accepted => abi::STATUS_PORT_DISCONNECTED,
            _ => abi::STATUS_INVALID_PARAMETER,
        };
        self.end(who, status);
    }

    fn send(&mut self, who: usize, through: Through, data: u8, asks: bool) {
        let Some(index) = self.connected(through) else {
            return self.end(who, abi::STATUS_PORT_DISCONNECTED);
        };
        let to_server = matches!(through, Through::Client(_));
        let kind = if asks { abi::LPC_REQUEST } else { abi::LPC_DATAGRAM };
        let message = self.message(kind, who, index, data);
        if asks {
            self.busy[who] = true;
            self.questions.push(Question {
                number: message.number,
                asker: who,
                waits: true,
                connection: index,
                to_server,
                received: false,
                parent: None,
            });
        } else {
            self.end(who, abi::STATUS_SUCCESS);
        }
        self.deliver(if to_server { None } else { Some(index) }, message);
    }

    fn call_back(&mut self, who: usize, through: Through, to: usize, data: u8) {
        let Some(index) = self.question(through, to) else {
            return self.end(who, abi::STATUS_REPLY_MESSAGE_MISMATCH);
        };
        let (asker, connection, to_server) = {
            let question = &mut self.questions[index];
            question.waits = false;
            (question.asker, question.connection, question.to_server)
        };
        let message = self.message(abi::LPC_REQUEST, who, connection, data);
        self.busy[who] = true;
        self.questions.push(Question {
            number: message.number,
            asker: who,
            waits: true,
            connection,
            to_server: !to_server,
            received: true,
            parent: Some(to),
        });
        self.hand(asker, message, !to_server);
        // It comes to a thread that waits for a reply, which has no PortContext.
        if let Some(Ended { message: Some(message), .. }) = self.ended.last_mut() {
            message.3 = 0;
        }
    }

    fn reply_wait(&mut self, who: usize, through: Through, to: usize, data: u8) {
        let parent = self.questions.iter().find(|question| question.number == to);
        let parent = parent.and_then(|question| question.parent);
        let suspended =
            |question: &Question| Some(question.number) == parent && !question.waits && question.asker == who;
        let has_parent = self.questions.iter().any(suspended);
        if !has_parent || !self.answer(who, through, to, data) {
            return self.end(who, abi::STATUS_REPLY_MESSAGE_MISMATCH);
        }
        self.busy[who] = true;
        for question in self.questions.iter_mut().filter(|question| Some(question.number) == parent) {
            question.waits = true;
        }
    }

    fn interrupt(&mut self, who: usize) {
        self.inbox.receivers.retain(|receiver| receiver.0 != who);
        for one in &mut self.connections {
            one.inbox.receivers.retain(|receiver| receiver.0 != who);
        }
        if let Some(index) =
            self.questions.iter().position(|question| question.waits && question.asker == who)
        {
            let number = self.questions.remove(index).number;
            self.forget_message(number);
        }
        let connecting = |one: &Connection| one.connecting && one.client == who;
        if let Some(index) = self.connections.iter().position(connecting) {
            self.connections[index].connecting = false;
            self.close_client(index);
        }
        self.end(who, abi::STATUS_USER_APC);
    }

    /// It waits in no queue any more.
    fn forget_message(&mut self, number: usize) {
        self.inbox.messages.retain(|message| message.number != number);
        for one in &mut self.connections {
            one.inbox.messages.retain(|message| message.number != number);
        }
    }

    /// All questions of a connection end.
    fn break_off(&mut self, index: usize) {
        let (broken, left) = std::mem::take(&mut self.questions)
            .into_iter()
            .partition::<Vec<_>, _>(|question| question.connection == index);
        self.questions = left;
        for question in broken {
            self.forget_message(question.number);
            if question.waits {
                self.end(question.asker, abi::STATUS_PORT_DISCONNECTED);
            }
        }
    }

    fn dismiss(&mut self, client: Option<usize>, which: impl Fn(Through) -> bool) {
        let receivers = std::mem::take(&mut self.inbox(client).receivers);
        for (who, through) in receivers {
            if which(through) {
                self.end(who, abi::STATUS_PORT_DISCONNECTED);
            } else {
                self.inbox(client).receivers.push((who, through));
            }
        }
    }

    fn close_connection(&mut self) {
        self.open = false;
        self.dismiss(None, |through| through == Through::Connection);
        for index in 0..self.connections.len() {
            if matches!(self.connections[index].stage, Stage::Asked | Stage::Held) {
                let number = self.connections[index].number;
                self.forget_message(number);
                self.refuse(index);
            }
        }
        let connections = &self.connections;
        self.inbox.messages.retain(|message| connections[message.connection].server_open);
    }

    fn close_server(&mut self, index: usize) {
        self.connections[index].server_open = false;
        self.break_off(index);
        self.dismiss(Some(index), |_| true);
        self.dismiss(None, |through| through == Through::Server(index));
        self.inbox.messages.retain(|message| message.connection != index);
        if self.connections[index].connecting {
            self.refuse(index);
        }
    }

    fn close_client(&mut self, index: usize) {
        let one = &mut self.connections[index];
        one.client_open = false;
        let (client, server_open, number) = (one.client, one.server_open, one.number);
        if matches!(one.stage, Stage::Asked | Stage::Held) {
            one.stage = Stage::Over;
        }
        self.forget_message(number);
        self.break_off(index);
        self.dismiss(Some(index), |_| true);
        self.connections[index].inbox.messages.clear();
        if server_open {
            let message = self.message(abi::LPC_PORT_CLOSED, client, index, 0);
            self.deliver(None, message);
        }
    }
}
