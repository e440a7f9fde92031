//! The columns of HAProxy's statistics, version 2.6: names, order and tags as `show stat typed` has them.

/// Declares the columns in their order.
macro_rules! columns {
    ($($variant:ident $name:ident $tags:ident,)+) => {
        /// A column; its number is its place.
        #[expect(missing_docs, reason = "the names are HAProxy's, and section 9.1 of its management guide tells of them")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Column {
            $($variant,)+
        }

        impl Column {
            /// All of them, in their order.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($name),)+
                }
            }

            const fn own_tags(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($tags),)+
                }
            }
        }
    };
}

columns! {
    Pxname pxname KNS,
    Svname svname KNS,
    Qcur qcur MGP,
    Qmax qmax MMP,
    Scur scur MGP,
    Smax smax MMP,
    Slim slim CLP,
    Stot stot MCP,
    Bin bin MCP,
    Bout bout MCP,
    Dreq dreq MCP,
    Dresp dresp MCP,
    Ereq ereq MCP,
    Econ econ MCP,
    Eresp eresp MCP,
    Wretr wretr MCP,
    Wredis wredis MCP,
    Status status SGP,
    Weight weight MaP,
    Act act MGP,
    Bck bck MGP,
    Chkfail chkfail MCP,
    Chkdown chkdown MCP,
    Lastchg lastchg MAP,
    Downtime downtime MCP,
    Qlimit qlimit CGS,
    Pid pid KGP,
    Iid iid KGS,
    Sid sid KGS,
    Throttle throttle MaP,
    Lbtot lbtot MCP,
    Tracked tracked CNS,
    Type type CGS,
    Rate rate MRP,
    RateLim rate_lim CLP,
    RateMax rate_max MMP,
    CheckStatus check_status MOP,
    CheckCode check_code MOP,
    CheckDuration check_duration MDP,
    Hrsp1xx hrsp_1xx MCP,
    Hrsp2xx hrsp_2xx MCP,
    Hrsp3xx hrsp_3xx MCP,
    Hrsp4xx hrsp_4xx MCP,
    Hrsp5xx hrsp_5xx MCP,
    HrspOther hrsp_other MCP,
    Hanafail hanafail MCP,
    ReqRate req_rate MRP,
    ReqRateMax req_rate_max MMP,
    ReqTot req_tot MCP,
    CliAbrt cli_abrt MCP,
    SrvAbrt srv_abrt MCP,
    CompIn comp_in MCP,
    CompOut comp_out MCP,
    CompByp comp_byp MCP,
    CompRsp comp_rsp MCP,
    Lastsess lastsess MAP,
    LastChk last_chk MOP,
    LastAgt last_agt MOP,
    Qtime qtime MaP,
    Ctime ctime MaP,
    Rtime rtime MaP,
    Ttime ttime MaP,
    AgentStatus agent_status MOP,
    AgentCode agent_code MOP,
    AgentDuration agent_duration MDP,
    CheckDesc check_desc MOP,
    AgentDesc agent_desc MOP,
    CheckRise check_rise CGS,
    CheckFall check_fall CGS,
    CheckHealth check_health CGS,
    AgentRise agent_rise CGS,
    AgentFall agent_fall CGS,
    AgentHealth agent_health CGS,
    Addr addr CGS,
    Cookie cookie CNS,
    Mode mode CGS,
    Algo algo CGS,
    ConnRate conn_rate MRP,
    ConnRateMax conn_rate_max MMP,
    ConnTot conn_tot MCP,
    Intercepted intercepted MCP,
    Dcon dcon MCP,
    Dses dses MCP,
    Wrew wrew MCP,
    Connect connect MCP,
    Reuse reuse MCP,
    CacheLookups cache_lookups MCP,
    CacheHits cache_hits MCP,
    SrvIcur srv_icur MGP,
    SrcIlim src_ilim CLP,
    QtimeMax qtime_max MMP,
    CtimeMax ctime_max MMP,
    RtimeMax rtime_max MMP,
    TtimeMax ttime_max MMP,
    Eint eint MCP,
    IdleConnCur idle_conn_cur MGP,
    SafeConnCur safe_conn_cur MGP,
    UsedConnCur used_conn_cur MGP,
    NeedConnEst need_conn_est MGP,
    Uweight uweight MaP,
    AggServerStatus agg_server_status MGP,
    AggServerCheckStatus agg_server_check_status MGP,
    AggCheckStatus agg_check_status MGP,
    SslSess ssl_sess MCP,
    SslReusedSess ssl_reused_sess MCP,
    SslFailedHandshake ssl_failed_handshake MCP,
    H2HeadersRcvd h2_headers_rcvd MCP,
    H2DataRcvd h2_data_rcvd MCP,
    H2SettingsRcvd h2_settings_rcvd MCP,
    H2RstStreamRcvd h2_rst_stream_rcvd MCP,
    H2GoawayRcvd h2_goaway_rcvd MCP,
    H2DetectedConnProtocolErrors h2_detected_conn_protocol_errors MCP,
    H2DetectedStrmProtocolErrors h2_detected_strm_protocol_errors MCP,
    H2RstStreamResp h2_rst_stream_resp MCP,
    H2GoawayResp h2_goaway_resp MCP,
    H2OpenConnections h2_open_connections MGP,
    H2BackendOpenStreams h2_backend_open_streams MGP,
    H2TotalConnections h2_total_connections MCP,
    H2BackendTotalStreams h2_backend_total_streams MCP,
    H1OpenConnections h1_open_connections MGP,
    H1OpenStreams h1_open_streams MGP,
    H1TotalConnections h1_total_connections MCP,
    H1TotalStreams h1_total_streams MCP,
    H1BytesIn h1_bytes_in MCP,
    H1BytesOut h1_bytes_out MCP,
    H1SplicedBytesIn h1_spliced_bytes_in MCP,
    H1SplicedBytesOut h1_spliced_bytes_out MCP,
}

/// What a row tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A frontend.
    Frontend,
    /// A backend.
    Backend,
    /// A server of a backend.
    Server,
}

impl Kind {
    /// Its number in the column `type`.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Frontend => 0,
            Self::Backend => 1,
            Self::Server => 2,
        }
    }

    /// The bit that asks for it in `show stat`.
    #[must_use]
    pub const fn bit(self) -> i64 {
        1 << self.number()
    }

    /// Its letter in typed output.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Frontend => 'F',
            Self::Backend => 'B',
            Self::Server => 'S',
        }
    }

    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frontend => "Frontend",
            Self::Backend => "Backend",
            Self::Server => "Server",
        }
    }
}

impl Column {
    /// The first of those that modules of HAProxy add. CSV has a column `-` before them.
    pub const FIRST_OF_MODULES: Self = Self::SslSess;

    /// Where its value comes from, what it is, and what it is about: a letter each (section 9.2 of HAProxy's
    /// management guide).
    #[must_use]
    pub const fn tags(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Self::Act | Self::Bck, Kind::Server) => "SGP",
            (Self::Rate | Self::RateMax, Kind::Backend) => "MGP",
            _ => self.own_tags(),
        }
    }
}
